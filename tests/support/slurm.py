"""A real Slurm under a temporary directory: munged, slurmctld and slurmd with ports and a key of their own.

One node, this machine, unless Hosts of namespaces are given: then one slurmd on each of them.

Up in a few seconds, gone with us; nothing of the system's Slurm is touched. Cluster.reason_not() says why it can't run here.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")


def _program(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


CONF = """
ClusterName=gudatest
SlurmctldHost={head}({head_address})
SlurmctldPort={ctld}
SlurmdPort={slurmd}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
ReturnToService=2
JobRequeue=1
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=25 MaxTime=60 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60
"""

SETTLE = 6  # s that a requeued job stays pending


class Cluster:
    def __init__(self, folder, hosts=None, cores=4):
        self.folder, self.hosts, self.cores = Path(folder), hosts, cores
        self.daemons = []
        self.addresses = hosts.addresses if hosts else {socket.gethostname().split(".")[0]: "127.0.0.1"}
        self.head = next(iter(self.addresses))

    @staticmethod
    def reason_not():
        """Why it can't run here; empty when it can."""
        if os.geteuid() != 0:
            return "not root: slurmd starts jobs as their users"
        missing = [p for p in PROGRAMS if not _program(p)]
        return f"missing {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)" if missing else ""

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self):
        for name in ("state", "munge", *(f"spool-{n}" for n in self.addresses)):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        (self.folder / "munge").chmod(0o700)
        ctld, slurmd = _free_ports(2)
        self.conf = self.folder / "slurm.conf"
        nodes = "\n".join(f"NodeName={n} NodeAddr={a} CPUs={self.cores} RealMemory=4000 State=UNKNOWN" for n, a in self.addresses.items())
        self.conf.write_text(CONF.format(head=self.head, head_address=self.addresses[self.head], nodes=nodes, ctld=ctld, slurmd=slurmd, folder=self.folder))
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))} | {"SLURM_CONF": str(self.conf)}
        m = self.folder / "munge"
        self._daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={key}", f"--log-file={m}/log",
                     f"--pid-file={m}/pid", f"--seed-file={m}/seed")
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._daemon("slurmctld", "-D", "-c", "-f", str(self.conf), host=self.head)
        for name in self.addresses:
            self._daemon("slurmd", "-D", "-c", "-f", str(self.conf), "-N", name, host=name)
        self._wait(lambda: self.ask("sinfo", "--noheader", "--Node", "--partition=high", "--format=%T", check=False).split() == ["idle"] * len(self.addresses),
                   "the nodes to be idle")

    def on(self, host, *command):
        """argv that runs on a node."""
        return self.hosts.command(host, *command) if self.hosts else [str(c) for c in command]

    def _daemon(self, name, *arguments, host=None):
        log = (self.folder / f"{name}.out").open("ab")
        command = [_program(name), *arguments]
        self.daemons.append(subprocess.Popen(self.on(host, *command) if host else command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env=getattr(self, "environment", None), start_new_session=True))

    def _wait(self, ready, what, seconds=60):
        until = time.time() + seconds
        while not ready():
            dead = [d for d in self.daemons if d.poll() is not None]
            if dead or time.time() > until:
                logs = "\n".join(f"--- {f.name}\n" + f.read_text(errors="replace")[-1500:] for f in sorted(self.folder.glob("*.out")) + sorted(self.folder.glob("slurm*.log")))
                raise RuntimeError(f"{what}: {'a daemon ended' if dead else 'nothing happened'}\n{logs}")
            time.sleep(0.05)

    def ask(self, *command, check=True, env=None):
        done = subprocess.run(self.on(self.head, *command), capture_output=True, text=True, env=env or self.environment, timeout=90)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    def job(self, number):
        """Fields of scontrol show job."""
        text = self.ask("scontrol", "--oneliner", "show", "job", number, check=False)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def state(self, number):
        return self.job(number).get("JobState", "GONE")

    def wait_state(self, number, *states, seconds=120):
        """Until the job is in one of these states. A requeued job need not wait out Slurm's two minutes."""
        until = time.time() + seconds
        pending_since = None
        while True:
            job = self.job(number)
            pending = job.get("JobState") == "PENDING" and job.get("Reason") in ("BeginTime", "None") and int(job.get("Restarts", "0")) > 0
            pending_since = (pending_since or time.time()) if pending else None
            if job.get("JobState") in states:
                # A job that requeues itself passes through FAILED on its way to PENDING.
                time.sleep(1.5)
                again = self.job(number)
                if again.get("JobState") == job["JobState"] and again.get("Restarts") == job.get("Restarts"):
                    return again
                continue
            if time.time() > until:
                raise RuntimeError(f"job {number} is {job.get('JobState')} ({job.get('Reason')}) instead of {' or '.join(states)} after {seconds} s")
            # Not at once: while the former life's last message is under way, slurmctld takes it for the new one's end.
            if pending_since and time.time() - pending_since > SETTLE:
                self.ask("scontrol", "update", f"JobId={number}", "StartTime=now", check=False)
            time.sleep(0.2)

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.ask("scancel", "--user=root", check=False)
            time.sleep(0.5)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            if daemon.poll() is None:
                daemon.kill()
        # slurmstepd outlives slurmd on purpose; ours must not.
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if f"SLURM_CONF={self.folder}" in (entry / "environ").read_bytes().decode(errors="replace") and int(entry.name) != os.getpid():
                        os.kill(int(entry.name), signal.SIGKILL)
