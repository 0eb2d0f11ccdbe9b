"""HTML reports are well-formed, stand alone, and read in light and dark."""

import html.parser
import re
import unittest
import xml.etree.ElementTree

import report_samples

VOID = {"meta", "br", "hr", "img", "link", "input"}
SVG_ELEMENTS = {"svg", "g", "title", "desc", "rect", "line", "path", "circle", "text",
                "linearGradient", "stop"}
TEXT_PAIRS = [("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("warm", "paper"),
              ("ink", "panel"), ("soft", "panel"), ("ink", "warm-panel")]
MARK_COLOURS = ["accent", "grey", "warm"]


class Outline(html.parser.HTMLParser):
    """Elements must nest; remembers ids, references and headings."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.problems = []
        self.ids = []
        self.references = []
        self.headings = []
        self.elements = {}
        self.untabbed_scrolls = 0

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements[tag] = self.elements.get(tag, 0) + 1
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if attributes.get("href", "").startswith("#"):
            self.references.append(attributes["href"][1:])
        self.references += attributes.get("aria-labelledby", "").split()
        self.references += re.findall(r"url\(#([^)]*)\)", attributes.get("fill", ""))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if attributes.get("class") == "scroll" and "tabindex" not in attributes:
            self.untabbed_scrolls += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-3:]} at {self.getpos()}")
        else:
            self.open.pop()


def luminance(colour):
    channels = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class HtmlPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pages = {path.stem: path.read_text(encoding="utf-8")
                     for path in sorted(report_samples.folder().glob("*.html"))}

    def test_elements_nest_and_references_resolve(self):
        self.assertGreater(len(self.pages), 10)
        for name, page in self.pages.items():
            with self.subTest(name):
                outline = Outline()
                outline.feed(page)
                outline.close()
                self.assertEqual(outline.problems, [])
                self.assertEqual(outline.open, [])
                self.assertEqual(len(outline.ids), len(set(outline.ids)))
                self.assertEqual(set(outline.references) - set(outline.ids), set())
                self.assertEqual(outline.untabbed_scrolls, 0)
                self.assertEqual(outline.elements["h1"], 1)
                for element in ("script", "link", "img", "iframe", "object", "form"):
                    self.assertNotIn(element, outline.elements)

    def test_drawings_are_xml(self):
        for name, page in self.pages.items():
            with self.subTest(name):
                for drawing in re.findall(r"<svg .*?</svg>", page, re.S):
                    root = xml.etree.ElementTree.fromstring(drawing)
                    width, height = (float(x) for x in root.get("viewBox").split()[2:])
                    self.assertGreater(width, 0)
                    self.assertGreater(height, 0)
                    self.assertTrue(root.find("title").text)
                    self.assertTrue(root.find("desc").text)
                    for element in root.iter():
                        self.assertIn(element.tag, SVG_ELEMENTS)
                        self.check_place(element, width, height)

    def check_place(self, element, width, height):
        for key in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "r"):
            if element.get(key) is not None:
                value = float(element.get(key))
                limit = height if key in ("y", "y1", "y2", "cy", "height") else width
                self.assertTrue(-1 <= value <= limit + 1, f"{element.tag} {key}={value}")
        numbers = re.findall(r"-?[\d.]+", element.get("d", ""))
        self.assertTrue(all(abs(float(number)) < 1e4 for number in numbers))

    def test_pages_stand_alone(self):
        for name, page in self.pages.items():
            with self.subTest(name):
                self.assertNotRegex(page, r"(?i)\b(?:src|srcset|action|poster)\s*=\s*[\"']")
                self.assertNotRegex(page, r"(?i)href=[\"'](?!#)")
                self.assertNotRegex(page, r"(?i)@import|@font-face|url\((?!#)")
                self.assertIn("default-src 'none'", page)

    def test_no_value_is_missing_in_disguise(self):
        for name, page in self.pages.items():
            with self.subTest(name):
                self.assertNotRegex(page, r"(?i)[>\s\"]-?(?:nan|inf|null|undefined)[<\s\"%]")

    def test_colours_read_in_light_and_dark(self):
        page = next(iter(self.pages.values()))
        themes = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
                  for block in re.findall(r":root \{(.*?)\}", page, re.S)]
        self.assertEqual(len(themes), 2)
        for theme in themes:
            for text, ground in TEXT_PAIRS:
                self.assertGreaterEqual(contrast(theme[text], theme[ground]), 4.5, (text, ground))
            for mark in MARK_COLOURS:
                self.assertGreaterEqual(contrast(theme[mark], theme["paper"]), 3.0, mark)


if __name__ == "__main__":
    unittest.main()
