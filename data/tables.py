"""Tables as people have them: csv, tsv or blanks between columns, gzip or not, with a header or without; and arrays of
numpy in their place. Everything untrusted ends in one line that names file, line and what was expected.
"""
import csv
import gzip
import io
import zlib

import numpy as np
import scipy.sparse as sp

from graph_formats import Fail, checked_csr, load_arrays, one_line

MOST_BYTES_OF_A_NAME = 4096
UNLABELLED = ("", "-1", "nan", "none", "null", "na", "?")
# How files of other kinds begin, and what to do with them.
KINDS = (
    (b"PK\x03\x04", "a zip or .npz archive", "name an .npz only where features are expected"), (b"\x80", "a pickle", "save it as text or .npy"),
    (b"\x89HDF", "an HDF5 file", "export it as csv"), (b"PAR1", "a parquet file", "export it as csv"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself (git lfs pull)"), (b"\x93NUMPY", "a numpy array", "give it the ending .npy"),
    (b"%%MatrixMarket", "a Matrix Market file", "write its entries as an edge list"),
    (b"<!doctype", "a web page", "download the file itself"), (b"<html", "a web page", "download the file itself"),
)


def open_text(path):
    """The file unpacked, as text without a byte order mark. Raises Fail where it is a file of another kind."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    stream = gzip.open(path) if packed else open(path, "rb")
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        start = stream.read(64).lstrip().lower()
        stream.seek(0)
        for begin, kind, advice in KINDS:
            if start.startswith(begin.lower()):
                raise Fail(f"{path}: {kind}, expected a table; {advice}")
        return text
    except BaseException:
        text.close()
        raise


def delimiter_of(line):
    return next((mark for mark in "\t,;" if mark in line), None)


def read_rows(path):
    """(number, cells) of each line that is not empty and no comment (# or %), all with as many cells as the first."""
    try:
        with open_text(path) as text:
            first = next((line for line in text if line.strip() and line[0] not in "#%"), "")
            text.seek(0)
            delimiter = delimiter_of(first)
            lines = csv.reader(text, delimiter=delimiter, strict=True) if delimiter else (line.split() for line in text)
            columns = None
            for number, cells in enumerate(lines, 1):
                if not any(cells) or cells[0][:1] in ("#", "%"):
                    continue
                columns = columns or len(cells)
                if len(cells) != columns:
                    raise Fail(f"{path}: line {number}: {len(cells)} columns, expected {columns} as in the lines before")
                yield number, [cell.strip() for cell in cells]
    except (EOFError, zlib.error) as error:
        raise Fail(f"{path}: {one_line(error)}; the file is cut off or damaged, fetch it again") from None
    except UnicodeDecodeError as error:
        raise Fail(f"{path}: byte {error.start} is not UTF-8, expected text in UTF-8") from None
    except csv.Error as error:
        raise Fail(f"{path}: {one_line(error)}, expected a table") from None
    except OSError as error:
        raise Fail(f"{path}: {error.strerror or one_line(error)}") from None


def is_number(cell):
    try:
        float(cell)
        return True
    except ValueError:
        return False


def checked_name(path, number, name):
    if not name or len(name.encode()) > MOST_BYTES_OF_A_NAME:
        raise Fail(f"{path}: line {number}: {'an empty id' if not name else 'an id of ' + str(len(name.encode())) + ' bytes'}, expected 1 to {MOST_BYTES_OF_A_NAME} bytes")
    return name


def numbers_of(path, number, cells):
    try:
        values = np.array(cells, np.float32)
    except ValueError as error:
        raise Fail(f"{path}: line {number}: {one_line(error)}, expected a number") from None
    if not np.isfinite(values).all():
        raise Fail(f"{path}: line {number}: {cells[int(np.argmin(np.isfinite(values)))]}, expected finite numbers")
    return values


def read_feature_table(path):
    """ids, x (n, features) and, where the last column is text, the class of each row (else None); a header is left out."""
    ids, x, classes = {}, [], []
    first, has_classes = None, False

    def take(number, cells):
        if checked_name(path, number, cells[0]) in ids:
            raise Fail(f"{path}: line {number}: id {cells[0]!r} twice, expected one row a node")
        ids[cells[0]] = len(ids)
        x.append(numbers_of(path, number, cells[1 : len(cells) - has_classes]))
        if has_classes:
            classes.append(cells[-1])

    for number, cells in read_rows(path):
        if first is None:
            first = (number, cells)
            if len(cells) < 2:
                raise Fail(f"{path}: line {number}: one column, expected an id and features")
            continue
        if not ids:  # the second line tells what the columns are, and so whether the first is a header
            has_classes = len(cells) > 2 and not is_number(cells[-1])
            if all(map(is_number, first[1][1 : len(cells) - has_classes])):
                take(*first)
        take(number, cells)
    if not ids:
        raise Fail(f"{path}: fewer than two lines, expected a row a node: id, features")
    return list(ids), np.stack(x), classes if has_classes else None


def read_feature_array(path):
    """x (n, features) of an .npy file, or of an .npz that scipy.sparse.save_npz wrote."""
    if str(path).endswith(".npy"):
        x = load_arrays(path, None)
        if x.ndim != 2 or x.dtype.kind not in "fiub":
            raise Fail(f"{path}: {x.dtype} of shape {x.shape}, expected numbers of shape (nodes, features)")
        return x.astype(np.float32)
    a = load_arrays(path, ["indptr", "indices", "data", "shape", "format"])
    if a["format"].item() not in (b"csr", "csr"):
        raise Fail(f"{path}: format {one_line(a['format'].item())}, expected csr as scipy.sparse.save_npz writes it; convert it with .tocsr()")
    try:
        return checked_csr(a["indptr"], a["indices"], a["data"].astype(np.float32), tuple(int(n) for n in a["shape"]))
    except (ValueError, TypeError) as error:
        raise Fail(f"{path}: {one_line(error)}") from None


def thinned(x):
    """Sparse where it pays."""
    return sp.csr_matrix(x) if not sp.issparse(x) and np.count_nonzero(x) < 0.25 * x.size else x


def numbered(texts):
    """Class of each text (-1: none) and the classes' names, None where each is its number. Numbers with gaps are mapped."""
    unlabelled = np.array([text.lower() in UNLABELLED for text in texts])
    present = sorted({text for text, none in zip(texts, unlabelled) if not none})
    try:
        values = {text: int(float(text)) for text in present if float(text) == int(float(text))}
    except (ValueError, OverflowError):
        values = {}
    if len(values) == len(present):  # whole numbers, perhaps written 1.0
        present = sorted(set(values.values()))
        known = present == list(range(len(present)))
        place = {value: k for k, value in enumerate(present)}
        return np.array([-1 if none else place[values[text]] for text, none in zip(texts, unlabelled)], np.int64), None if known else present
    place = {text: k for k, text in enumerate(present)}
    return np.array([-1 if none else place[text] for text, none in zip(texts, unlabelled)], np.int64), present
