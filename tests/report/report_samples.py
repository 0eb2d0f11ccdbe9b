"""The hand-made documents and their reports, written by kvsieve_report_samples."""

import os
import pathlib
import subprocess
import tempfile

_folder = None


def folder():
    """The folder with the samples, written once a process and removed at its end."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="kvsieve-report-")
        subprocess.run([os.environ["KVSIEVE_REPORT_SAMPLES"], _folder.name], check=True)
    return pathlib.Path(_folder.name)
