"""Train a classifier: python train.py [key=value ...]. `python train.py --help` lists the keys.

The configuration is composed from conf/train.yaml; the job is `imgrec.train_job.run_training`.
"""

from imgrec.cli.verbs.train import main

if __name__ == "__main__":
    main()
