"""Several "hosts" on one machine: network, UTS and mount namespaces with a bridge between them.

Each host has its own name, address and /dev/shm; the file system is shared, as on a cluster. A host can be cut off
(its link goes down) and its processes can be killed. Needs root; Hosts.reason_not() says why it can't run here.
"""
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path


def _run(*command, check=True):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done


class Hosts:
    def __init__(self, folder, count, prefix="node"):
        self.folder, self.names = Path(folder), [f"{prefix}{i}" for i in range(count)]
        self.holders = {}
        # Unique per process, so that two test runs on one machine don't meet; interface names have 15 characters.
        self.tag = f"g{os.getpid() % 100000}"
        self.bridge = f"{self.tag}br"
        self.subnet = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.addresses = {name: f"{self.subnet}.{i + 1}" for i, name in enumerate(self.names)}

    @staticmethod
    def reason_not():
        """Why hosts can't be made here; empty when they can."""
        if os.geteuid() != 0:
            return "not root"
        for tool in ("ip", "unshare", "nsenter"):
            if subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True).returncode != 0:
                return f"no {tool} (Debian: iproute2, util-linux)"
        probe = _run("unshare", "--net", "--uts", "--mount", "--propagation", "private", "sh", "-c",
                     "mount -t tmpfs none /dev/shm && hostname probe && ip link add name probe0 type veth peer name probe1 && ip link add name probe2 type bridge", check=False)
        return "" if probe.returncode == 0 else f"namespaces are not permitted: {probe.stderr.strip()}"

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _make(self):
        etc_hosts = self.folder / "etc-hosts"
        etc_hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for n, a in self.addresses.items()))
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        _run("ip", "link", "set", self.bridge, "up")
        for i, name in enumerate(self.names):
            # The holder keeps the namespaces alive; it dies with us.
            # A new process namespace of network, UTS and mounts; the file system below stays the shared one.
            holder = subprocess.Popen(["unshare", "--net", "--uts", "--mount", "--propagation", "private", "sh", "-c",
                                       f"hostname {name} && mount -t tmpfs none /dev/shm && mount --bind {etc_hosts} /etc/hosts && "
                                       "ip link set lo up && echo ready && exec sleep infinity"],
                                      stdout=subprocess.PIPE, text=True, start_new_session=True)
            self.holders[name] = holder
            if holder.stdout.readline().strip() != "ready":
                raise RuntimeError(f"host {name} did not come up")
            outside, inside = f"{self.tag}v{i}", "eth0"
            _run("ip", "link", "add", outside, "type", "veth", "peer", "name", f"{self.tag}w{i}")
            _run("ip", "link", "set", f"{self.tag}w{i}", "netns", holder.pid)
            _run("ip", "link", "set", outside, "master", self.bridge, "up")
            self._inside(name, "ip", "link", "set", f"{self.tag}w{i}", "name", inside)
            self._inside(name, "ip", "addr", "add", f"{self.addresses[name]}/24", "dev", inside)
            self._inside(name, "ip", "link", "set", inside, "up")
        self.rsh = self.folder / "rsh"
        table = "".join(f"  {n}|{self.addresses[n]}) pid={h.pid} ;;\n" for n, h in self.holders.items())
        self.rsh.write_text("#!/bin/sh\n# rsh HOST COMMAND...: what mpirun uses to reach another node\nhost=$1; shift\ncase $host in\n" + table +
                            "  *) echo \"rsh: no host $host\" >&2; exit 1 ;;\nesac\nexec nsenter --net --uts --mount --target $pid sh -c \"$*\"\n")
        self.rsh.chmod(0o755)

    def command(self, name, *command):
        """argv that runs `command` on a host."""
        return ["nsenter", "--net", "--uts", "--mount", "--target", str(self.holders[name].pid), *map(str, command)]

    def _inside(self, name, *command):
        return _run(*self.command(name, *command))

    def cut(self, name):
        """The network of a host goes away; its processes live on."""
        _run("ip", "link", "set", f"{self.tag}v{self.names.index(name)}", "down")

    def mend(self, name):
        _run("ip", "link", "set", f"{self.tag}v{self.names.index(name)}", "up")

    def processes(self, name):
        """Pids inside a host, without the holder."""
        space = os.readlink(f"/proc/{self.holders[name].pid}/ns/net")
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.holders[name].pid:
                with contextlib.suppress(OSError):
                    if os.readlink(entry / "ns/net") == space:
                        found.append(int(entry.name))
        return found

    def kill(self, name):
        """Power off: everything on the host is gone at once."""
        for pid in self.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __exit__(self, *_):
        for name, holder in self.holders.items():
            self.kill(name)
            holder.kill()
            holder.wait()
        _run("ip", "link", "del", self.bridge, check=False)
        for i in range(len(self.names)):
            _run("ip", "link", "del", f"{self.tag}v{i}", check=False)


if __name__ == "__main__":
    print(Hosts.reason_not() or "hosts can be made here", file=sys.stderr)
