"""Where the built-in data sets come from: addresses, checksums where they are known, counts to recognise them by, and a
downloader that resumes and never leaves half a file under the final name.
"""
import hashlib
import os
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from graph_formats import Fail, one_line

PLANETOID_PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
_PLANETOID = ("https://github.com/kimiyoung/planetoid/raw/master/data/", "https://raw.githubusercontent.com/tkipf/gcn/master/gcn/data/")
_SHCHUR = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz/"
_DRIVE = "https://drive.usercontent.google.com/download?confirm=t&id="


_HETEROPHILOUS = "https://github.com/yandex-research/heterophilous-graphs/raw/main/data/"
_GRAPH2GAUSS = "https://github.com/abojchevski/graph2gauss/raw/master/data/"
_OGB = "http://snap.stanford.edu/ogb/data/nodeproppred/"
_GRAPHSAINT_FOLDER = "the Google Drive folder that github.com/GraphSAINT/GraphSAINT names"


@dataclass(frozen=True)
class Source:
    kind: str  # planetoid, shchur, heterophilous, wikics, graphsaint, ogb, mag
    counts: tuple  # nodes, features, classes
    files: dict  # file name -> addresses, tried in order; a .zip is unpacked
    licence: str
    folder: str = ""  # of the raw files, below a folder of PDADMM_DATA or inside the .zip
    split: str = "none"
    origin: str = ""  # where people find files that have no address
    unfit: str = ""  # why this program cannot use it


def _planetoid(name):
    return {f"ind.{name}.{part}": tuple(f"{base}ind.{name}.{part}" for base in _PLANETOID) for part in PLANETOID_PARTS}


def _published(name, counts):
    return Source("planetoid", counts, _planetoid(name), "MIT (of the repository)", "planetoid", "20 a class, 500, 1000")


def _shchur(file, *counts):
    return Source("shchur", counts, {file: (_SHCHUR + file,)}, "MIT (of the repository)", "npz")


def _heterophilous(file, *counts):
    return Source("heterophilous", counts, {file: (_HETEROPHILOUS + file,)}, "MIT (of the repository)", "npz", "ten in the file")


def _graph2gauss(file, upstream, *counts):
    return Source("shchur", counts, {file: (_GRAPH2GAUSS + upstream,)}, "MIT (of the repository)", "npz")


def _graphsaint(folder, counts, files=None):
    files = files or dict.fromkeys(("adj_full.npz", "feats.npy", "class_map.json", "role.json"), ())
    return Source("graphsaint", counts, files, "not stated", folder, "role.json", _GRAPHSAINT_FOLDER)


def _ogb(folder, counts, licence, split, kind="ogb", unfit="", archive=""):
    archive = archive or f"{folder}.zip"
    return Source(kind, counts, {archive: (_OGB + archive,)}, f"{licence} (according to OGB)", folder, split, unfit=unfit)


SOURCES = {
    "cora": _published("cora", (2708, 1433, 7)),
    "pubmed": _published("pubmed", (19717, 500, 3)),
    "citeseer": _published("citeseer", (3327, 3703, 6)),
    "computers": _shchur("amazon_electronics_computers.npz", 13752, 767, 10),
    "photo": _shchur("amazon_electronics_photo.npz", 7650, 745, 8),
    "cs": _shchur("ms_academic_cs.npz", 18333, 6805, 15),
    "physics": _shchur("ms_academic_phy.npz", 34493, 8415, 5),
    "flickr": _graphsaint("flickr", (89250, 500, 7), {
        "adj_full.npz": (_DRIVE + "1crmsTbd1-2sEXsGwa2IKnIB7Zd3TmUsy",), "feats.npy": (_DRIVE + "1join-XdvX3anJU_MLVtick7MgeAQiWIZ",),
        "class_map.json": (_DRIVE + "1uxIkbtg5drHTsKt-PAsZZ4_yJmgFmle9",), "role.json": (_DRIVE + "1htXCtuktuCW8TR8KiKfrFDAxUgekQoV7",)}),
    "arxiv": _ogb("arxiv", (169343, 128, 40), "ODC-BY", "by time"),
    "products": _ogb("products", (2449029, 100, 47), "Amazon licence", "by sales rank"),
    "roman-empire": _heterophilous("roman_empire.npz", 22662, 300, 18),
    "amazon-ratings": _heterophilous("amazon_ratings.npz", 24492, 300, 5),
    "minesweeper": _heterophilous("minesweeper.npz", 10000, 7, 2),
    "tolokers": _heterophilous("tolokers.npz", 11758, 10, 2),
    "questions": _heterophilous("questions.npz", 48921, 301, 2),
    "actor": _heterophilous("actor.npz", 7600, 932, 5),
    "texas": _heterophilous("texas.npz", 183, 1703, 5),
    "wisconsin": _heterophilous("wisconsin.npz", 251, 1703, 5),
    "cornell": _heterophilous("cornell.npz", 183, 1703, 5),
    "chameleon-filtered": _heterophilous("chameleon_filtered.npz", 890, 2325, 5),
    "squirrel-filtered": _heterophilous("squirrel_filtered.npz", 2223, 2089, 5),
    "cora-full": _graph2gauss("cora_full.npz", "cora.npz", 19793, 8710, 70),
    "cora_ml": _graph2gauss("cora_ml.npz", "cora_ml.npz", 2995, 2879, 7),
    "wiki-cs": Source("wikics", (11701, 300, 10), {"data.json": ("https://github.com/pmernyei/wiki-cs-dataset/raw/master/dataset/data.json",)}, "MIT (of the repository)", "wiki-cs", "twenty in the file, one test part"),
    "reddit": _graphsaint("reddit", (232965, 602, 41)),
    "yelp": _graphsaint("yelp", (716847, 300, 100)),
    "ppi": _graphsaint("ppi", (14755, 50, 121)),
    "mag": _ogb("mag", (736389, 128, 349), "ODC-BY", "by time", kind="mag"),
    "proteins": _ogb("proteins", (132534, 8, 112), "CC0", "by species"),
    "papers100M": _ogb("papers100M-bin", (111059956, 128, 172), "ODC-BY", "by time", unfit="it needs no bundle: unpack OGB's papers100M-bin.zip and give its folder to pdadmm augment --out FOLDER, which works on disk"),
}
# Flickr as one archive is tried first: Drive sometimes answers with a page.
FLICKR_ZIP = "https://data.dgl.ai/dataset/flickr.zip"

# Of the original files; where a file is not listed its checksum is not known to us, which is said and not passed over.
SHA256 = dict(line.split()[::-1] for line in """
2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668 ind.citeseer.allx
f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95 ind.citeseer.ally
d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7 ind.citeseer.graph
2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4 ind.citeseer.test.index
539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21 ind.citeseer.tx
55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce ind.citeseer.ty
d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6 ind.citeseer.x
8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924 ind.citeseer.y
9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543 ind.cora.allx
2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71 ind.cora.ally
58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d ind.cora.graph
297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875 ind.cora.test.index
b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a ind.cora.tx
41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad ind.cora.ty
23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab ind.cora.x
94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1 ind.cora.y
508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e ind.pubmed.allx
0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e ind.pubmed.ally
5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9 ind.pubmed.graph
b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5 ind.pubmed.test.index
4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d ind.pubmed.tx
ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd ind.pubmed.ty
fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33 ind.pubmed.x
e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3 ind.pubmed.y
""".split("\n") if line)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def search_folders(source):
    """Folders that may hold the raw files, those of PDADMM_DATA and one step below."""
    named = [Path(f) for f in os.environ.get("PDADMM_DATA", "").split(":") if f]
    return [folder / below for folder in named for below in ("", source.folder, f"ogbn_{source.folder}")]


def is_complete(folder, source):
    if source.kind in ("ogb", "mag"):
        return (folder / ("raw/edge.csv.gz" if source.kind == "ogb" else "raw/relations/paper___cites___paper/edge.csv.gz")).is_file() and (folder / "split").is_dir()
    return all((folder / name).is_file() for name in source.files)


def find_raw(source):
    return next((folder for folder in search_folders(source) if is_complete(folder, source)), None)


def refuse_unfit(name, source):
    if source.unfit:
        raise Fail(f"{name}: {source.unfit}")


def needed(name, source):
    """Which files to put where, for people who have them."""
    if source.kind in ("ogb", "mag"):
        return f"the unpacked {next(iter(source.files))} (raw/ and split/) in {source.folder}/"
    return f"{', '.join(source.files)} in {source.folder}/"


def fetch(name, source, cache, attempts=3):
    """Downloads what is missing of a data set to cache/NAME and returns the folder of its raw files."""
    folder = Path(cache) / name
    inside = folder / source.folder if source.kind in ("ogb", "mag", "graphsaint") else folder
    for candidate in (inside, folder):
        if is_complete(candidate, source):
            return candidate
    if name == "flickr":
        try:
            fetch_file("flickr.zip", (FLICKR_ZIP,), folder, attempts)
            unpack(folder / "flickr.zip", inside)
        except Fail as error:
            print(f"prepare.py: {error}; trying the files one by one", file=sys.stderr)
    if not is_complete(inside, source):
        for file, addresses in source.files.items():
            target = inside if source.kind == "graphsaint" else folder
            if not addresses and not (target / file).is_file():
                raise Fail(f"{name}: put {needed(name, source)} below a folder of PDADMM_DATA; the files are in {source.origin}")
            fetch_file(file, addresses, target, attempts)
            if file.endswith(".zip"):
                unpack(folder / file, folder)
    for candidate in (inside, folder):
        if is_complete(candidate, source):
            return candidate
    raise Fail(f"{folder}: the downloaded archive does not hold the files of {name}")


def fetch_file(file, addresses, folder, attempts):
    """One file from the first address that gives it, checked where its checksum is known."""
    path = folder / file
    if path.is_file():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fail(f"{folder}: cannot be written: {error.strerror}", code=5) from None
    problems = []
    for address in addresses:
        part = path.with_name(path.name + ".part")
        for _ in range(attempts):
            try:
                download(address, part)
                problem = None
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError, EOFError) as error:
                problem = one_line(getattr(error, "reason", error))
                if isinstance(error, urllib.error.HTTPError):
                    break  # the server has answered: asking again does not help
            except OSError as error:
                raise Fail(f"{part}: cannot be written: {error.strerror or one_line(error)}", code=5) from None
        if problem is None:
            problem = refuse(part, file)
        if problem is None:
            os.replace(part, path)
            return
        problems.append(f"{address}: {problem}")
    raise Fail(f"{file}: {'; '.join(problems)}; fetch it by other means and name its folder in PDADMM_DATA")


def refuse(part, file):
    """Why a finished download is not the file, else None; tells whether it was checked."""
    with open(part, "rb") as opened:
        start = opened.read(512).lstrip().lower()
    digest, known = sha256(part), SHA256.get(file)
    if start.startswith((b"<!doctype", b"<html")):
        problem = "a web page came instead"
    elif known and digest != known:
        problem = f"SHA-256 {digest}, expected {known}"
    else:
        size = part.stat().st_size
        print(f"{file}: {size} bytes, SHA-256 {digest} " + ("(as published)" if known else "(not checked: no checksum of it is known)"), file=sys.stderr)
        return None
    part.unlink()
    return problem


def download(address, part):
    """Appends what `part` lacks of the file at `address`. EOFError where the connection ends early."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "pdadmm-prepare/1", **({"Range": f"bytes={have}-"} if have else {})})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        part.unlink()  # nothing behind what we have: start over, the checksum of a whole file tells more
        return download(address, part)
    with answer:
        resumed = have > 0 and answer.status == 206
        expected = answer.headers.get("Content-Length")
        before = have if resumed else 0
        with open(part, "ab" if resumed else "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        got = part.stat().st_size - before
        if expected is not None and got < int(expected):
            raise EOFError(f"ended after {got} of {expected} bytes")


def unpack(archive, folder):
    """Unpacks the members that the readers need; paths that leave the folder are refused."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if member.filename.startswith("/") or ".." in Path(member.filename).parts:
                    raise Fail(f"{archive}: member {one_line(member.filename)} leaves the folder")
                if member.filename.endswith((".csv.gz", ".npz", ".npy", ".json")):
                    opened.extract(member, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise Fail(f"{archive}: {one_line(error)}; remove it and run again") from None
    except OSError as error:
        raise Fail(f"{folder}: cannot be written: {error.strerror or one_line(error)}", code=5) from None
