"""`fmnist` for tests of engines: its workers save after every segment.

python driver.py compare study.yaml --engine processes:2
"""

import sys

from fmnist import cli
from fmnist.study.engines import tasks

if __name__ == "__main__":
    tasks.WORKER = "support.workers:saving_often"
    sys.exit(cli.main())
