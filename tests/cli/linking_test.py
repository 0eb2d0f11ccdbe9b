"""What the programs need at run time: the heavy libraries stay out of `kvsieve` itself."""

import re
import subprocess

from cli_test import KVSIEVE, CliTest, main


class LinkingTest(CliTest):
    def test_no_heavy_libraries(self):
        libraries = subprocess.run(["ldd", KVSIEVE], stdout=subprocess.PIPE, check=True,
                                   text=True).stdout
        self.assertIn("libc.so", libraries)
        for name in ("Qt", "mpi", "llama", "ggml", "libcuda", "libcudart", "cupti", "python",
                     "openblas", "libssl", "libcurl"):
            self.assertIsNone(re.search(name, libraries, re.IGNORECASE), f"{name}: {libraries}")
        self.assertNotIn("not found", libraries)


if __name__ == "__main__":
    main()
