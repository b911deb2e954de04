"""The page in a real browser: it fits, no text runs into another, and it is readable in light and dark."""

from datetime import UTC, datetime

import pytest
from browser import find_chromium, measure

from kubetune.report.page import page

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)")

LAYOUT = """(() => {
  const box = e => e.getBoundingClientRect(), all = q => [...document.querySelectorAll(q)].filter(e => box(e).width)
  const over = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5
  const colliding = list => list.flatMap((e, i) => list.slice(i + 1).filter(f => over(box(e), box(f))).map(f => e.textContent + '|' + f.textContent))
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = light(getComputedStyle(document.body).backgroundColor)
  const contrast = e => { const own = light(getComputedStyle(e).color); return (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05) }
  return {
    inner: innerWidth, scroll: document.documentElement.scrollWidth,
    colliding: [...document.querySelectorAll('.xs, .ys')].flatMap(axis => colliding([...axis.querySelectorAll('span')].filter(e => box(e).width))),
    outside: all('.xs span, .ys span, h1, h2, p, td, th, dd, li').filter(e => !e.closest('.wide, pre') && (box(e).left < -0.5 || box(e).right > innerWidth + 0.5)).map(e => e.textContent),
    lines: all('path.line').length, flat: all('svg').filter(e => box(e).height < 80).length,
    faint: all('p, td, th, figcaption span, .xs span, .ys span, .line, .legend span').filter(e => contrast(e) < 4.5).map(e => e.className + e.textContent),
  }
})()"""


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_how_it_lies(story, tmp_path, width, scheme):
    file = tmp_path / "page.html"
    file.write_text(page(story, "0.1.0", datetime(2026, 11, 28, tzinfo=UTC)))
    seen = measure(CHROMIUM, file, LAYOUT, (width, 3000), scheme)
    assert seen["lines"] >= 12
    assert seen["inner"] == width
    assert {name: seen[name] for name in ("colliding", "outside", "flat", "faint")} == {
        "colliding": [],
        "outside": [],
        "flat": 0,
        "faint": [],
    }
    assert seen["scroll"] <= width
