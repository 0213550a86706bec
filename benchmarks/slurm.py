"""Whether the shares of a Slurm array, one of which is killed, and a Ray cluster in a job end in the bytes of one process.

`python -m benchmarks.slurm --clips 24` needs Slurm and munge (Debian: `apt-get install slurm-wlm munge`), and root, since
slurmd does. It starts a Slurm of three nodes on this machine, which listens on loopback alone, and ends it afterwards. In
three clones of the last commit a small sample corpus is taken to the encoders: in one by `dvc repro` with one worker, in the
others by the scripts of docs/cluster.md, with four shares, and with Ray on the three nodes. One share of `faces` is killed
(SIGKILL); what it left, `dvc repro` computes.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from ruamel.yaml import YAML

import params
from benchmarks import kills, processes
from benchmarks.records import Record

SHARES, NODES = 4, 3
VICTIM = "faces"
STAGES = ("frames", "audio", "faces", "transcripts", "tune_text", "encode_text", "encode_audio", "encode_vision")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
CONTROL, DAEMON = 6917, 17101  # ports
CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={control}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
ReturnToService=2
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdParameters=config_overrides
NodeName=node[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def find(program: str) -> str:
    """The path of a program, which may lie where only root looks."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """A Slurm of NODES nodes on loopback, with a munge of its own; SLURM_CONF names it meanwhile."""
    for name in ("munge", "state", "spool", "log"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    ports = {"control": CONTROL, "first": DAEMON, "last": DAEMON + NODES - 1}
    text = CONFIGURATION.format(host=os.uname().nodename.partition(".")[0], folder=folder, nodes=NODES, **ports)
    (folder / "slurm.conf").write_text(text)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    options = ("key-file", "socket", "pid-file", "log-file", "seed-file")
    files = [f"--{name}={folder}/munge/{name.partition('-')[0]}" for name in options]
    started = [subprocess.Popen([find("munged"), "--force", "--foreground", *files], stderr=subprocess.DEVNULL)]
    try:
        until(lambda: (folder / "munge" / "socket").exists(), "munged")
        started.append(subprocess.Popen([find("slurmctld"), "-D"], stderr=subprocess.DEVNULL))
        for i in range(1, NODES + 1):
            (folder / "spool" / f"node{i}").mkdir()
            started.append(subprocess.Popen([find("slurmd"), "-D", "-N", f"node{i}"], stderr=subprocess.DEVNULL))
        until(lambda: states() == ["idle"] * NODES, "slurmd")
        yield
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()
        del os.environ["SLURM_CONF"]


def states() -> list[str]:
    """What Slurm says of each node, such as `idle`."""
    return subprocess.run([find("sinfo"), "-h", "-N", "-o", "%t"], capture_output=True, text=True, check=False).stdout.split()


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} did not begin to work in two minutes")
        time.sleep(0.2)


def scripts(folder: Path) -> None:
    """Write the scripts of docs/cluster.md, as they stand there, into a checkout."""
    page = (folder / "docs/cluster.md").read_text(encoding="utf-8")
    for name in ("share.sh", "cluster.sh", "ray.sh"):
        (block,) = (text for text in re.findall(r"```sh\n(#!.*?)```", page, re.DOTALL) if f"# {name} " in text)
        (folder / name).write_text(block, encoding="utf-8")


def share(folder: Path) -> psutil.Process | None:
    """A running share of VICTIM that has some of its clips done, if there is one."""
    entries = (folder / ".store" / VICTIM).glob("??/*.zip")
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if command[3:5] == [VICTIM, "--share"] and Path(process.cwd()) == folder and any(entries):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def kill_a_share(folder: Path, running: subprocess.Popen) -> str:
    """Kill a share of VICTIM as soon as a clip is done; which it was."""
    while running.poll() is None:
        if process := share(folder):
            name = process.cmdline()[5]
            process.send_signal(signal.SIGKILL)
            return name
        time.sleep(0.05)
    sys.exit(f"no share of {VICTIM} could be killed")


def disturbed(folder: Path) -> tuple[str, str]:
    """Run cluster.sh in a checkout, and kill a share of VICTIM: the share, and what was printed."""
    scripts(folder)
    with (folder / "printed.txt").open("w") as printed:
        running = subprocess.Popen(
            [find("bash"), "cluster.sh", str(SHARES)],
            cwd=folder,
            env=processes.environment(),
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        killed = kill_a_share(folder, running)
        running.wait()
    text = (folder / "printed.txt").read_text(errors="replace")
    if running.returncode:
        sys.exit(text)
    return killed, text


def on_ray(folder: Path) -> None:
    """Run ray.sh in a checkout, in a job of all nodes."""
    scripts(folder)
    (folder / "logs").mkdir(exist_ok=True)
    editor = YAML()
    tree = editor.load(folder / params.PATH)
    tree["run"].update(engine="ray", address="auto")
    editor.dump(tree, folder / params.PATH)
    size = [f"--nodes={NODES}", "--cpus-per-task=1", "--mem=3500M"]
    done = subprocess.run(
        [find("sbatch"), "--wait", *size, "ray.sh", *STAGES], cwd=folder, env=processes.environment(), check=False
    )
    logs = "\n".join(path.read_text(errors="replace") for path in sorted((folder / "logs").glob("ray-*.txt")))
    if done.returncode:
        sys.exit(logs)
    for stage, line in counts(logs).items():
        print(f"{stage}, on Ray: {line}")


def differing(one: Path, other: Path) -> list[str]:
    """The files under data whose bytes are not the same in both."""
    expected, outputs = kills.outputs(one), kills.outputs(other)
    return sorted(name for name in expected.keys() | outputs.keys() if expected.get(name) != outputs.get(name))


def counts(printed: str) -> dict[str, str]:
    """What DVC's run of each stage said after the shares, such as `24 clips, 0 computed, 24 reused, 0 refused`."""
    return dict(re.findall(r"^(\w+): (\d+ clips, \d+ computed, .*)$", printed, re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm", description=__doc__)
    parser.add_argument("--clips", type=int, default=24, help=f"a multiple of {kills.SPEAKERS}")
    clips = parser.parse_args().clips
    if absent := [program for program in PROGRAMS if not find(program)]:
        sys.exit(f"{', '.join(absent)} not found: apt-get install slurm-wlm munge")
    record = Record("slurm", f"{clips} clips, {SHARES} shares, {NODES} nodes")
    with TemporaryDirectory() as temporary:
        cases = {"one": 1, "shares": 0, "rays": 0}
        one, shares, rays = (kills.clone(Path(temporary) / name, clips, workers) for name, workers in cases.items())
        record.add("one process", processes.run(["dvc", "repro", *STAGES], one).figures())
        with cluster(Path(temporary) / "slurm"):
            start = time.perf_counter()
            killed, printed = disturbed(shares)
            middle = time.perf_counter()
            on_ray(rays)
            end = time.perf_counter()
        for stage, line in counts(printed).items():
            print(f"dvc repro --single-item {stage}, after its shares: {line}")
        print(processes.run([sys.executable, "-m", "preprocess", "status"], shares).printed)
        files, others = len(kills.outputs(one)), {"shares": differing(one, shares), "ray": differing(one, rays)}
        for (name, of_case), seconds in zip(others.items(), (middle - start, end - middle), strict=True):
            record.add(name, {"seconds": seconds, "files": files, "differing": len(of_case)})
    record.write()
    if any(others.values()):
        sys.exit(f"share {killed} of {VICTIM} was killed; these files differ: {others}")
    print(f"share {killed} of {VICTIM} was killed; {files} files under data are the same, byte for byte, in all three")


if __name__ == "__main__":
    main()
