"""The frame and style of the result page, light and dark."""

__all__ = ["PAGE", "STYLE"]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="retrieve">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
$heading$note$contents
</header>
<main>
$sections
</main>
<footer>
A score is the cosine between query and image: higher is more alike. Bars compare the hits of one query.
$links</footer>
</body>
</html>
"""

STYLE = """
:root {
  --row: 196px; --gap: 20px;
  --ground: #fbfaf7; --raised: #f0ede6; --line: #e2ddd2; --text: #1d1b18; --soft: #686259; --mark: #b3471b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131211; --raised: #211f1d; --line: #34312d; --text: #efebe4; --soft: #a8a197; --mark: #f2a077;
  }
}
@media (max-width: 640px) { :root { --row: 132px; --gap: 14px; } }
* { box-sizing: border-box; margin: 0; }
html { color-scheme: light dark; scroll-behavior: smooth; scroll-padding-top: 24px; }
body {
  max-width: 1560px; margin: 0 auto; padding: clamp(20px, 4vw, 56px) clamp(16px, 4vw, 56px);
  background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif;
  -webkit-text-size-adjust: 100%;
}
h1, h2 {
  font-weight: 650; letter-spacing: -.018em; line-height: 1.2; overflow-wrap: anywhere; text-wrap: balance;
}
h1 { font-size: clamp(26px, 3.4vw, 40px); }
h2 { font-size: clamp(20px, 2.2vw, 27px); }
header { display: grid; grid-template-columns: minmax(0, 1fr); gap: 10px; }
.note, footer, .query p { color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 10px; }
nav a {
  max-width: 100%; padding: 4px 13px; border: 1px solid var(--line); border-radius: 99px; color: inherit;
  text-decoration: none; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
}
nav a:hover { border-color: var(--mark); color: var(--mark); }
section { padding-top: clamp(32px, 4vw, 56px); }
header:not(:has(h1)) + main section:first-child { padding-top: 4px; }
.query { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; margin-bottom: 18px; }
.query p { white-space: nowrap; font-variant-numeric: tabular-nums; }
.part { margin-right: .18em; }
.part.image { display: inline-flex; align-items: center; gap: .45em; vertical-align: middle; max-width: 100%; }
.part img {
  width: auto; height: 76px; max-width: 46vw; object-fit: contain; border-radius: 8px;
  box-shadow: 0 0 0 1px var(--line);
}
.sign { color: var(--mark); font-weight: 500; }
.hits { display: flex; flex-wrap: wrap; gap: calc(var(--gap) * 1.2) var(--gap); padding: 0; list-style: none; }
.hits::after { content: ""; flex: 999 1 0; }
.hits li {
  flex: var(--shape) 1 calc(var(--shape) * var(--row)); min-width: 0;
  max-width: calc(var(--shape) * var(--row) * 1.7);
}
.frame {
  display: block; position: relative; aspect-ratio: var(--shape); overflow: hidden;
  border-radius: 8px 8px 0 0; background: var(--raised); color: var(--soft); text-decoration: none;
}
.frame img {
  display: block; width: 100%; height: 100%; object-fit: contain; transition: transform .25s ease;
}
a.frame:hover img { transform: scale(1.025); }
.fault {
  position: absolute; inset: 0; display: grid; place-items: center; padding: 12px; text-align: center;
  font-size: 13px;
}
:focus-visible { outline: 3px solid var(--mark); outline-offset: 3px; }
.bar { display: block; height: 3px; background: var(--line); }
.bar span { display: block; height: 100%; background: var(--mark); }
.facts {
  display: flex; align-items: baseline; gap: 10px; margin-top: 7px; white-space: nowrap;
  font-variant-numeric: tabular-nums;
}
.rank { color: var(--soft); font-size: 13px; min-width: 1.1em; }
.score { font-weight: 650; }
.duplicates, .matched, .moment {
  margin-left: auto; padding: 0 8px; border-radius: 99px; background: var(--raised); color: var(--soft);
  font-size: 12px;
}
.name {
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  overflow-wrap: anywhere; font-size: 13px; line-height: 1.4;
}
.folder { color: var(--soft); font-size: 12px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
li:focus-within .name { -webkit-line-clamp: none; }
li:focus-within .folder { white-space: normal; overflow-wrap: anywhere; }
footer { margin-top: 56px; padding-top: 16px; border-top: 1px solid var(--line); font-size: 13px; }
@media (prefers-reduced-motion: reduce) {
  * { transition: none !important; scroll-behavior: auto !important; }
}
@media print {
  body { max-width: none; padding: 0; }
  nav { display: none; }
  li, .query { break-inside: avoid; }
}
"""
