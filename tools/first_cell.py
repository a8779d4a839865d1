import os, subprocess, sys
repository = ""  # the address of this book, written here by `make stamp`
if "google.colab" in sys.modules and not os.path.isdir("igr-book"):  # fetch the helpers
    assert repository, "This copy of the book has no address yet: run `make stamp url=...` in it."
    subprocess.run(["git", "clone", "-q", "--depth", "1", repository, "igr-book"], check=True)
sys.path.insert(0, "igr-book/notebooks")  # where Colab has them; elsewhere they are beside us
from helpers.setup import setup
env = setup(seed=0)
