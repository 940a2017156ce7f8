"""Small real reports, and a page read back as a browser would."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
from torch import nn

from bitseek.data import Pool, Protocol
from bitseek.evaluation import evaluate
from bitseek.images import Features
from bitseek.runs import Hasher

VOID = {"img", "meta", "line", "rect", "circle", "polyline"}


def report_of(labels, classes, *, logits=None, n=60, bits=16, queries=12, overlap=False, name="toy", keys=None, **more):
    """A real evaluation of a hasher whose logits are its input; `more`: for the protocol and `evaluate`."""
    if logits is None:
        logits = np.random.default_rng(0).normal(size=(n, bits))
    logits = np.asarray(logits, np.float32)
    ids = np.arange(len(logits))
    pool = Pool(Features((logits,)), labels, tuple(classes), keys)
    roles = {key: more.pop(key) for key in ("lists", "k", "seed") if key in more}
    protocol = Protocol(name, pool, ids[:0], ids[:queries], ids if overlap else ids[queries:], **roles)
    return evaluate(Hasher(None, nn.Identity(), logits.shape[1]), protocol, **more)


class Page(HTMLParser):
    """A page whose elements are closed in order; else an AssertionError.

    Attributes:
        links: every address that a browser would fetch or follow.
        ids: of the elements.
        tags: how often each occurs.
        attributes: of each start tag, as (tag, dictionary).
        text: all text but scripts and styles.
        top: the text of the header.
        tables: for each table, its rows as lists of cell texts.
    """

    def __init__(self, html):
        super().__init__()
        self.links, self.ids, self.tags, self.attributes, self.tables = [], [], Counter(), [], []
        self._open, self._texts, self.html = [], [], html
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = " ".join(" ".join(self._texts).split())
        self.top = re.search(r"<header>.*</header>", html, re.S)[0]

    def handle_starttag(self, name, attributes):
        self.tags[name] += 1
        given = dict(attributes)
        assert len(given) == len(attributes), f"an attribute twice in {name}"
        self.attributes.append((name, given))
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset", "data", "action", "poster")]
        self.ids += [given["id"]] if "id" in given else []
        if name not in VOID:
            self._open.append(name)
        if name == "table":
            self.tables.append([])
        elif name == "tr":
            self.tables[-1].append([])
        elif name in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, name, attributes):
        assert name in VOID
        self.handle_starttag(name, attributes)

    def handle_endtag(self, name):
        assert self._open.pop() == name

    def handle_data(self, text):
        if not self._open or self._open[-1] not in ("script", "style"):
            self._texts.append(text)
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1] += text

    def rows(self, first):
        """The rows of all tables whose first heading is this, by their own headings."""
        return {row[0]: row[1:] for table in self.tables if table[0][0] == first for row in table[1:]}

    def tips(self):
        """Every text that is shown on hover."""
        return [given["data-tip"] for _, given in self.attributes if "data-tip" in given]

    def points(self):
        """The data of the map."""
        return json.loads(re.search(r'<script type="application/json" id="points">(.*?)</script>', self.html, re.S)[1])

    def tiles(self):
        """(kind, caption) of each picture among the queries."""
        return re.findall(r'<figure class="tile (\w+)".*?<figcaption><span>(.*?)</span>', self.html, re.S)
