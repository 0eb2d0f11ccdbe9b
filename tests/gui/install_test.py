"""What `cmake --install` puts in place for the viewer, and whether desktops can read it."""

import configparser
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

BUILD = Path(os.environ["KVSIEVE_BUILD"])
MIME = "{http://www.freedesktop.org/standards/shared-mime-info}"


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="kvsieve-install-")
        cls.root = Path(cls.folder.name)
        subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(cls.root)], check=True,
                       stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_every_file_is_in_place(self):
        for name in ("bin/kvsieve", "bin/kvsieve-gui", "share/applications/kvsieve.desktop",
                     "share/icons/hicolor/scalable/apps/kvsieve.svg",
                     "share/mime/packages/kvsieve.xml",
                     "share/kvsieve/samples/smollm2-needle.kvtrace",
                     "share/doc/kvsieve/LICENSES/GPL-3.0-or-later.txt"):
            self.assertTrue((self.root / name).is_file(), name)

    def test_the_desktop_file_opens_every_type_that_is_declared(self):
        desktop = configparser.ConfigParser(interpolation=None)
        desktop.optionxform = str
        desktop.read(self.root / "share/applications/kvsieve.desktop", encoding="utf-8")
        entry = desktop["Desktop Entry"]
        self.assertEqual(entry["Type"], "Application")
        self.assertEqual(entry["Exec"], "kvsieve-gui %F")
        self.assertEqual(entry["Icon"], "kvsieve")
        declared = {element.get("type") for element in xml.parse(
            self.root / "share/mime/packages/kvsieve.xml").getroot().iter(MIME + "mime-type")}
        self.assertEqual(set(entry["MimeType"].strip(";").split(";")), declared)
        self.assertEqual(len(declared), 5)

    def test_the_icon_is_an_image(self):
        icon = xml.parse(self.root / "share/icons/hicolor/scalable/apps/kvsieve.svg").getroot()
        self.assertEqual(icon.tag, "{http://www.w3.org/2000/svg}svg")
        self.assertEqual(icon.get("viewBox"), "0 0 64 64")

    def test_the_installed_viewer_draws_the_installed_sample(self):
        sample = self.root / "share/kvsieve/samples/smollm2-needle.kvtrace"
        plots = self.root / "plots"
        environment = dict(os.environ, HOME=str(self.root), QT_QPA_PLATFORM="offscreen")
        outcome = subprocess.run(
            [str(self.root / "bin/kvsieve"), "view", "--export", str(plots), "--format", "png,svg,csv",
             str(sample)], env=environment, stdout=subprocess.PIPE, text=True, timeout=240)
        self.assertEqual(outcome.returncode, 0)
        written = outcome.stdout.split()
        self.assertGreaterEqual(len(written), 6)
        for name in written:
            self.assertGreater(Path(name).stat().st_size, 40, name)


if __name__ == "__main__":
    unittest.main()
