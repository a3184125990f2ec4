"""Evaluate a classifier: python evaluate.py checkpoint=PATH [key=value ...]. `--help` lists the keys.

The configuration is composed from conf/evaluate.yaml; the job is `imgrec.evaluate_job.run_evaluation`.
"""

from imgrec.cli.verbs.evaluate import main

if __name__ == "__main__":
    main()
