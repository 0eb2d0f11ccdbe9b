"""A real X screen without a window manager: keys through the server, pictures of what it shows."""

import os
import struct
import subprocess
import time
import zlib


class Screen:
    """Xvfb with one program on it."""

    def __init__(self, width=1500, height=950):
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten",
             "tcp"], pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as number:
            self.display = ":" + number.readline().strip()
        self.environment = dict(os.environ, DISPLAY=self.display, QT_QPA_PLATFORM="xcb")

    def close(self):
        self.server.terminate()
        self.server.wait()

    def tool(self, *words):
        return subprocess.run(["xdotool", *words], env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def window(self, process, patience_s=30):
        """The program's largest visible window, with the keyboard's focus: there is no manager to
        give it."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"the program ended with {process.returncode}")
            found = subprocess.run(["xdotool", "search", "--onlyvisible", "--pid",
                                    str(process.pid)], env=self.environment, text=True,
                                   stdout=subprocess.PIPE, check=False).stdout.split()
            if found:
                self.tool("windowfocus", "--sync", found[-1])
                return found[-1]
            time.sleep(0.1)
        raise AssertionError("no window appeared")

    def key(self, *keys):
        self.tool("key", "--delay", "40", *keys)

    def pixels(self):
        """The screen: width, height, bytes a pixel, rows of BGR or BGRX bytes."""
        dump = subprocess.run(["xwd", "-root", "-silent"], env=self.environment, check=True,
                              stdout=subprocess.PIPE).stdout
        header = struct.unpack(">25I", dump[:100])
        width, height, stride, colours = header[4], header[5], header[12], header[19]
        pixel = header[11] // 8
        start = header[0] + colours * 12
        rows = [dump[start + y * stride:start + y * stride + width * pixel] for y in range(height)]
        return width, height, pixel, rows

    def save(self, path):
        """Writes a PNG."""
        width, height, pixel, rows = self.pixels()
        lines = []
        for row in rows:
            colours = bytearray(3 * width)
            colours[0::3], colours[1::3], colours[2::3] = row[2::pixel], row[1::pixel], row[0::pixel]
            lines.append(b"\0" + bytes(colours))

        def chunk(kind, data):
            body = kind + data
            return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

        with open(path, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n"
                       + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                       + chunk(b"IDAT", zlib.compress(b"".join(lines)))
                       + chunk(b"IEND", b""))
        return path


def changed_share(before, after):
    """Share of pixels that differ between two screens of one size."""
    changed = 0
    pixel = before[2]
    for a, b in zip(before[3], after[3]):
        if a != b:
            changed += sum(a[i:i + pixel] != b[i:i + pixel] for i in range(0, len(a), pixel))
    return changed / (before[0] * before[1])
