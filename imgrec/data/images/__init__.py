"""Images: decoding within limits, preprocessing, collections."""
