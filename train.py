"""Train a classifier: python train.py [key=value ...]. `python train.py --help` lists the keys.

The configuration is composed from conf/train.yaml; what happens with it is `imgrec.train_job.train`.
"""

from imgrec.cli.verbs.train import main

if __name__ == "__main__":
    main()
