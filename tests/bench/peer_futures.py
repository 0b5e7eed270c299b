"""No-op tasks per second of mpi4py.futures, the peer of ./run bench coordinator. mpirun -np 4 python3 -m mpi4py.futures peer_futures.py TASKS"""
import sys
import time

from mpi4py.futures import MPIPoolExecutor


def nothing(i):
    return i


if __name__ == "__main__":
    tasks = int(sys.argv[1])
    with MPIPoolExecutor() as pool:
        list(pool.map(nothing, range(100)))  # workers are up
        started = time.perf_counter()
        done = sum(1 for _ in pool.map(nothing, range(tasks), chunksize=1))
        seconds = time.perf_counter() - started
    print(f'{{"jobs": {done}, "seconds": {seconds}}}')
