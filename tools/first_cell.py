import os, subprocess, sys
repository = ""  # the address of this book, written here by `make stamp`
if "google.colab" in sys.modules:  # Colab has PyTorch; only the helpers are fetched
    if not os.path.isdir("igr-book"):
        subprocess.run(["git", "clone", "-q", "--depth", "1", repository, "igr-book"], check=True)
    sys.path.insert(0, "igr-book/notebooks")
from helpers.setup import setup
env = setup(seed=0)
