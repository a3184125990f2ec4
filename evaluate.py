"""Score a classifier: python evaluate.py checkpoint=PATH [key=value ...]. `python evaluate.py --help` lists the keys.

The configuration is composed from conf/evaluate.yaml; what happens with it is `imgrec.train_job.evaluate`.
"""

from imgrec.cli.verbs.evaluate import main

if __name__ == "__main__":
    main()
