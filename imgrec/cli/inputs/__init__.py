"""What verbs share: targets on the command line turned into data and models."""
