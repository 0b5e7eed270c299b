"""No-op simulations per second of libEnsemble over MPI, a peer of ./run bench coordinator. mpirun -np 4 python peer_libensemble.py TASKS"""
import json
import sys

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's mpi4py, built for the MPI that is there

import numpy as np  # noqa: E402
from libensemble.alloc_funcs.give_pregenerated_work import give_pregenerated_sim_work  # noqa: E402
from libensemble.libE import libE  # noqa: E402
from mpi4py import MPI  # noqa: E402


def nothing(rows, persis_info, sim_specs, libE_info):
    answer = np.zeros(1, dtype=sim_specs["out"])
    answer["f"] = rows["x"]
    return answer, persis_info


if __name__ == "__main__":
    tasks = int(sys.argv[1])
    points = np.zeros(tasks, dtype=[("x", float), ("sim_id", int), ("sim_started", bool)])
    points["sim_id"] = range(tasks)
    # All that can be turned off is: no files, no log, no time for the worker's own bookkeeping.
    history, _, flag = libE({"sim_f": nothing, "in": ["x"], "out": [("f", float)]}, {}, {"sim_max": tasks},
                            alloc_specs={"alloc_f": give_pregenerated_sim_work, "out": []}, H0=points,
                            libE_specs={"comms": "mpi", "mpi_comm": MPI.COMM_WORLD, "disable_log_files": True, "disable_resource_manager": True,
                                        "save_H_and_persis_on_abort": False, "save_H_on_completion": False})
    if MPI.COMM_WORLD.Get_rank() == 0:
        assert flag == 0 and history["sim_ended"].all(), flag
        seconds = float(history["sim_ended_time"].max() - history["sim_started_time"].min())
        print(json.dumps({"jobs": tasks, "seconds": seconds}))
