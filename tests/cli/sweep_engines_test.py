"""The templates of docs/sweeps: each engine's store has the bytes that one process makes."""

import os
import shutil
import signal
import subprocess
import time

from cli_test import KVSIEVE, SOURCE, CliTest, main

AXES = ("-a method=full,snapkv,a2ats,quest -a hardware=a100-sxm-80,h100-sxm "
        "-a context[pow2]=[10:15] -a batch=1,8,max")
TEMPLATES = SOURCE / "docs" / "sweeps"


class EnginesTest(CliTest):
    def setUp(self):
        super().setUp()
        self.environment = {**os.environ, "AXES": AXES, "OUT": str(self.folder / "out"),
                            "PATH": os.path.dirname(KVSIEVE) + ":" + os.environ["PATH"]}
        one = self.folder / "one.db"
        self.succeed("sweep", *AXES.split(), "--store", one, "--quiet")
        self.expected = self.succeed("sweep", "export", one).stdout

    def start(self, *command, **environment):
        process = subprocess.run(command, env={**self.environment, **environment},
                                 cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 timeout=300, check=False)
        self.assertEqual(process.returncode, 0, process.stdout.decode())
        return process.stdout.decode()

    def check(self, store):
        self.assertEqual(self.succeed("sweep", "export", self.folder / "out" / store).stdout,
                         self.expected)

    def test_mpirun(self):
        beside = os.path.join(os.path.dirname(KVSIEVE), "..", "mpi", "kvsieve-mpi")
        if shutil.which("mpirun") is None or not os.path.exists(beside):
            self.skipTest("no mpirun, or kvsieve-mpi is not built")
        self.start(TEMPLATES / "mpirun.sh", RANKS="4", MPIRUN_OPTIONS="--oversubscribe",
                   OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_btl_vader_single_copy_mechanism="none")
        self.check("mpi.db")

    def test_gnu_parallel(self):
        if shutil.which("parallel") is None:
            self.skipTest("GNU parallel is not installed (Debian: parallel)")
        self.start(TEMPLATES / "gnu-parallel.sh", SHARDS="3")
        self.check("merged.db")
        self.assertEqual(len((self.folder / "out" / "jobs.log").read_text().splitlines()), 4)

    def test_slurm(self):
        slurm = self.folder / "slurm"
        started = subprocess.run([SOURCE / "tests" / "sweeps" / "local_slurm.sh", slurm],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.addCleanup(self.stop_slurm, slurm)
        if started.returncode == 77:
            self.skipTest(started.stdout.decode().strip())
        self.assertEqual(started.returncode, 0, started.stdout.decode())
        configuration = {"SLURM_CONF": str(slurm / "slurm.conf"), "SHARDS": "4"}
        job = self.start("sbatch", "--parsable", "--array=0-3", TEMPLATES / "slurm-array.sh",
                         **configuration).strip()
        self.start("sbatch", f"--dependency=afterok:{job}", "--wrap",
                   "kvsieve sweep merge out/part-*.db --store out/merged.db", **configuration)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if not self.start("squeue", "--noheader", **configuration).strip():
                break
            time.sleep(0.5)
        self.check("merged.db")

    @staticmethod
    def stop_slurm(folder):
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            try:
                os.kill(int((folder / name).read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                pass
        time.sleep(1.0)


if __name__ == "__main__":
    main()
