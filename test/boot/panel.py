# SPDX-License-Identifier: MIT
# A QEMU machine's own screen and keyboard, through QMP: what the screen says, read glyph by glyph from a
# dump of its pixels, and keys pressed.
# Must not know: what is being tested, or how the image chooses its characters' size.
import json
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "efi" / "screen"))
import make_font  # noqa: E402

# Characters that are a cell without a single pixel look alike: this one is meant.
BLANK = " "
QCODES = {" ": "spc", "\n": "ret", "/": "slash", "?": "shift-slash", ".": "dot", ",": "comma", "-": "minus"}


def read_ppm(path):
    """(width, height, rows of bytes, one a pixel: 1 where it is bright)."""
    data = pathlib.Path(path).read_bytes()
    magic, width, height, highest = data.split(maxsplit=4)[:4]
    if magic != b"P6" or highest != b"255":
        raise ValueError(f"{path}: found {magic} {highest}, allowed P6 255")
    width, height = int(width), int(height)
    pixels = data[-3 * width * height :]
    bright = bytes(int(value >= 0x60) for value in range(256))
    green = pixels[1::3].translate(bright)
    return width, height, [green[y * width : (y + 1) * width] for y in range(height)]


def glyph_table(font):
    """Rows of one cell's pixels, one byte each, joined -> its character. Inverse ones, too."""
    table = {}
    for point in make_font.characters([font]):
        rows = font.glyphs[point]
        bits = "".join(f"{row:0{font.width}b}" for row in rows)
        cell = bits.encode().translate(bytes.maketrans(b"01", b"\0\1"))
        table.setdefault(cell, chr(point))
        table.setdefault(cell.translate(bytes([1, 0]) + bytes(254)), chr(point))
    return table


class Reader:
    """Text of a screen. Which font and how large, the picture decides: the most cells have to fit."""

    def __init__(self):
        self.fonts = [(font, glyph_table(font)) for font in make_font.load()]

    def text(self, ppm):
        width, height, rows = read_ppm(ppm)
        best, best_score = "", -1.0
        for font, table in self.fonts:
            for scale in (1, 2, 3, 4):
                lines, score = self.lines(width, height, rows, font, table, scale)
                if score > best_score:
                    best, best_score = lines, score
        return best

    @staticmethod
    def lines(width, height, rows, font, table, scale):
        cell_width, cell_height = font.width * scale, font.height * scale
        n_columns, n_rows = width // cell_width, height // cell_height
        left, top = (width - n_columns * cell_width) // 2, (height - n_rows * cell_height) // 2
        out, n_known, n_inked = [], 0, 0
        for r in range(n_rows):
            y = top + r * cell_height
            band = rows[y : y + cell_height : scale]
            line = ""
            for c in range(n_columns):
                x = left + c * cell_width
                cell = b"".join(row[x : x + cell_width : scale] for row in band)
                character = table.get(cell)
                if 1 in cell:
                    n_inked += 1
                    n_known += character is not None
                line += character if character is not None else "\0"
            out.append(line.rstrip())
        while out and not out[-1]:
            out.pop()
        # Large pixels fit every smaller size of themselves a little: known cells, and few of them.
        score = n_known / n_inked + scale * font.height / 1e4 if n_inked else 0.0
        return "\n".join(out), score


class Control:
    """QMP. `arguments` go onto QEMU's command line."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        # A path that is short enough for a socket, wherever the build is.
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1)
        port = self.listener.getsockname()[1]
        self.arguments = ["-qmp", f"tcp:127.0.0.1:{port}"]
        self.stream = None

    def connect(self, timeout_s=20):
        self.listener.settimeout(timeout_s)
        connection, _ = self.listener.accept()
        connection.settimeout(timeout_s)
        self.stream = connection.makefile("rw", encoding="utf-8")
        self.answer()
        self.do("qmp_capabilities")

    def answer(self):
        while True:
            line = self.stream.readline()
            if not line:
                raise ConnectionError("QEMU has ended")
            message = json.loads(line)
            if "event" not in message:
                return message

    def do(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        message = self.answer()
        if "error" in message:
            raise ValueError(f"QMP {command}: {message['error']}")
        return message["return"]

    def dump(self, name="screen"):
        path = self.folder / f"{name}.ppm"
        self.do("screendump", filename=str(path))
        return path

    def press(self, keys):
        """`keys`: names as QEMU has them, joined by dashes: ctrl-c."""
        codes = [{"type": "qcode", "data": name} for name in keys.split("-")]
        self.do("send-key", keys=codes)

    def type(self, text):
        """As a us keyboard does."""
        for character in text:
            name = QCODES.get(character, character)
            self.press(name if len(name) > 1 or not name.isupper() else f"shift-{name.lower()}")
            time.sleep(0.05)  # a key is released after 100 ms; PS/2 holds 16 bytes
