"""Reads results.h5 with every reader a person may have while a writer commits rows and is killed, again and again."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

try:
    import h5netcdf  # noqa: F401
    import h5py
    import numpy as np
    import xarray as xr
except ImportError as missing:
    print(f"skipped: {missing}; cure: pip install xarray h5netcdf h5py for this Python: {sys.executable}")
    sys.exit(77)

BIN = Path(os.environ["GUDA_BIN_DIR"])


class Readers:
    """Threads that open, read and close the file until they are told to stop."""

    def __init__(self, path):
        self.path, self.stop, self.reads, self.unreadable, self.done_rows = path, False, {}, [], 0
        readers = [("h5py", self.with_h5py), ("xarray", self.with_xarray)]
        if shutil.which("h5dump"):
            readers.append(("h5dump", self.with_h5dump))
        else:
            print("skipped: h5dump is not installed (Debian: hdf5-tools); the other readers go on")
        self.lock = threading.Lock()  # h5py and netCDF share one library
        self.threads = [threading.Thread(target=self.loop, args=reader) for reader in readers]
        for thread in self.threads:
            thread.start()

    def loop(self, name, read):
        while not self.stop:
            try:
                read()
                self.reads[name] = self.reads.get(name, 0) + 1
            except Exception as e:  # noqa: BLE001  whatever a reader says is what a person would see
                self.unreadable.append(f"{name}: {e}")
            time.sleep(0.01)

    def check(self, status, losses, blocks):
        """Where the status says done, rows are whole."""
        for group, block in zip(*np.nonzero(status)):
            first, count = blocks[block]
            rows = losses[group, first:first + count]
            assert np.isfinite(rows[:, np.isfinite(rows).any(axis=0)]).all(), f"a done block has holes: group {group}, block {block}"
            self.done_rows += len(rows)

    def with_h5py(self):
        with self.lock, h5py.File(self.path, "r") as f:
            blocks = list(zip(f["block_first_query"][()], f["block_query_count"][()]))
            for method in ("logo", "exact"):
                status = f[f"status__{method}"][()]  # before the rows: what becomes done meanwhile does not matter
                self.check(status, f[f"loss__{method}"][()], blocks)
            json.loads(f.attrs["experiment"])

    def with_xarray(self):
        with self.lock, xr.open_dataset(self.path, engine="h5netcdf") as data:
            assert data["loss__logo"].dims == ("group", "query", "slot")
            data.load()

    def with_h5dump(self):
        done = subprocess.run(["h5dump", "-d", "/status__logo", "-d", "/loss_full", str(self.path)], capture_output=True, text=True, timeout=60)
        if done.returncode != 0 or "loss_full" not in done.stdout:
            raise RuntimeError(f"h5dump ended with {done.returncode}: {done.stderr[-300:]}")

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()


def read_under_kills(kills, seed):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        killed, reads, unreadable, done_rows = 0, {}, [], 0
        number = 0
        while killed < kills:
            number += 1
            run = Path(folder) / f"run{number}"
            command = [BIN / "guda_store_life", run, "--queries", "30"]
            subprocess.run([*command, "0"], check=True, stdout=subprocess.DEVNULL)
            readers = Readers(run / "results.h5")
            try:
                for _ in range(10):
                    writer = subprocess.Popen([*command, "--pause", "2"], stdout=subprocess.PIPE, text=True)
                    time.sleep(rng.uniform(0.05, 0.5))
                    writer.send_signal(signal.SIGKILL)
                    writer.communicate()
                    if writer.returncode != -signal.SIGKILL:
                        break  # it was done before
                    killed += 1
                    if killed == kills:
                        break
            finally:
                readers.end()
            for name, count in readers.reads.items():
                reads[name] = reads.get(name, 0) + count
            unreadable += readers.unreadable
            done_rows += readers.done_rows
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            verified = subprocess.run([BIN / "guda", "verify", run], capture_output=True, text=True)
            assert verified.returncode == 0, verified.stdout + verified.stderr
            shutil.rmtree(run)
        print(f"{killed} writers killed, {sum(reads.values())} reads ({reads}), {len(unreadable)} unreadable, {done_rows} finished rows seen")
        assert not unreadable, unreadable[:5]
        assert done_rows > 0 and all(reads.get(name, 0) > 0 for name in ("h5py", "xarray")), "nothing was read"
