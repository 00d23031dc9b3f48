"""The programs compared, their environment, and a process of one of them."""

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("linnet", "torch", "jax", "mlx", "libtorch")
OPENBLAS = Path(f"/usr/lib/{os.uname().machine}-linux-gnu/openblas-openmp/libopenblas.so.0")


class Machine:
    """Where the programs are: a build directory, the Python of the peers, a folder for their caches."""

    def __init__(self, build, python, cache):
        self.programs, self.python, self.cache = Path(build).resolve() / "bin", python, Path(cache).resolve()

    def available(self, side):
        """Whether the side can run: libtorch is optional."""
        return side != "libtorch" or self.program("libtorch").exists()

    def program(self, name):
        return self.programs / f"linnet_peers_{name}"

    def command(self, side, group, variants=""):
        if side in ("linnet", "libtorch"):
            return [str(self.program(side)), group, variants]
        return [self.python, str(HERE / "python" / f"side_{side}.py"), group, variants]

    def environment(self, side, threads, cached=True):
        """The same for all: the number of threads, and a malloc that keeps memory between steps."""
        dropped = ("LD_PRELOAD", "OPENBLAS_CORETYPE", "OMP_PROC_BIND", "OMP_WAIT_POLICY")
        env = {key: value for key, value in os.environ.items() if key not in dropped}
        count = str(threads)
        env.update(OMP_NUM_THREADS=count, MKL_NUM_THREADS=count, OPENBLAS_NUM_THREADS=count, CUDA_VISIBLE_DEVICES="",
                   MALLOC_MMAP_THRESHOLD_="4294967295", MALLOC_TRIM_THRESHOLD_="8589934592",
                   MALLOC_TOP_PAD_="67108864", PYTHONDONTWRITEBYTECODE="1", TF_CPP_MIN_LOG_LEVEL="2")
        if side == "torch":
            env["TORCHINDUCTOR_CACHE_DIR"] = str(self.cache / f"inductor-{count}")
        if side == "jax":
            env["JAX_PLATFORMS"] = "cpu"
            if cached:
                env.update(JAX_COMPILATION_CACHE_DIR=str(self.cache / f"jax-{count}"),
                           JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
                           JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1")
            if threads == 1:
                env["XLA_FLAGS"] = (env.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false").strip()
        if side in ("mlx", "libtorch") and OPENBLAS.exists():
            # MLX's wheel brings the reference BLAS, Debian's libtorch is linked to any; both want the kernels of a
            # processor that OpenBLAS knows.
            env.update(LD_PRELOAD=str(OPENBLAS), OPENBLAS_CORETYPE="SkylakeX")
        if side == "mlx":
            folder = self.cache / "mlx"
            folder.mkdir(parents=True, exist_ok=True)
            env["TMPDIR"] = str(folder)
        return env


def cores_of(threads):
    """As many of the processors that this process may use as there are threads; one thread takes the last."""
    allowed = sorted(os.sched_getaffinity(0))
    if threads > len(allowed):
        raise SystemExit(f"{threads} threads need as many processors, and there are {len(allowed)}")
    return allowed[-threads:]


def listed(cores):
    return ",".join(map(str, cores))


def busy_seconds():
    """Processor time of everybody since boot, without idling."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, *rest = (int(x) for x in file.readline().split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Side:
    """A process of one side: it sets up the cases of a group, then measures what it is asked for, and sleeps on
    a pipe in between."""

    def __init__(self, name, command, env, cores, log):
        self.name, self.ready, self.failed, self.dead, self.rss_kb = name, [], [], None, None
        self._pending = b""
        self._log = open(log, "w", encoding="utf-8")
        self._process = subprocess.Popen(["taskset", "-c", listed(cores), *command], cwd=HERE, env=env, bufsize=0,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                                         start_new_session=True)

    def _line(self, timeout):
        """The next event, or None if the process ended or gave none in time."""
        end = time.monotonic() + timeout
        out = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            ready, _, _ = select.select([out], [], [], max(0, end - time.monotonic()))
            data = os.read(out, 65536) if ready else b""
            if not data:
                self.dead = f"ended with code {self._process.wait()}" if ready else "no answer in time"
                self._kill()
                return None
            self._pending += data
        text, self._pending = self._pending.split(b"\n", 1)
        return json.loads(text)

    def set_up(self, timeout=900):
        while (event := self._line(timeout)) is not None:
            if event["event"] == "done":
                self.rss_kb = event["rss_kb"]
                return
            (self.ready if event["event"] == "ready" else self.failed).append(event)

    def move(self, cores):
        for task in os.listdir(f"/proc/{self._process.pid}/task"):
            try:
                os.sched_setaffinity(int(task), cores)
            except ProcessLookupError:
                pass

    def measure(self, work, variant, min_seconds):
        """Samples, and how much of a processor other programs had meanwhile; None if the process died."""
        busy, own, begin = busy_seconds(), cpu_seconds(self._process.pid), time.monotonic()
        self._process.stdin.write(f"go {work} {variant} {min_seconds}\n".encode())
        event = self._line(240)
        if event is None:
            return None
        others = busy_seconds() - busy - (cpu_seconds(self._process.pid) - own)
        foreign = max(0.0, others) / max(time.monotonic() - begin, 1e-3)
        return {"ns": event["ns"], "cpu_ns": event["cpu_ns"], "foreign": round(foreign, 3)}

    def quit(self):
        if not self.dead:
            try:
                self._process.stdin.write(b"quit\n")
                self._process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self._kill()
        self._log.close()

    def _kill(self):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
