"""The commands edges, pyg, dgl, ogb and networkx of prepare.py: graphs of the user's own, from tables or saved objects."""
import argparse
import re
from pathlib import Path

import edge_lists
import library_graphs
import pyg_graph
from graph_formats import Fail

COMMANDS = {
    "edges": "an edge list (csv, tsv or blanks, .gz or not, header or none, any ids) with features, labels and perhaps a split",
    "pyg": "a .pt file of PyTorch Geometric, or one of its data sets such as Flickr or Planetoid/PubMed",
    "dgl": "a file of dgl.save_graphs with one graph",
    "ogb": "a node property data set of OGB: its folder, or its name (ogbn-arxiv) through the package",
    "networkx": "a .graphml, .gexf, .gml, .net or node-link .json file",
}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Fail(f"{message}; see {self.prog} --help", code=2)


def parser_of(command):
    parser = Parser(prog=f"prepare.py {command}", description=f"Makes a bundle of {COMMANDS[command]}.", allow_abbrev=False)
    parser.add_argument("object", metavar="FILE" if command != "ogb" else "FOLDER|NAME")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the bundle's name (default: the file's)")
    parser.add_argument("--out", metavar="DIR", default="data/bundles", help="folder of the bundle (default: %(default)s)")
    add = parser.add_argument
    if command == "edges":
        add("--features", metavar="FILE", required=True, help="table of id and numbers (the last column may be the class), or .npy or scipy's .npz")
        add("--labels", metavar="FILE", help="table of id and class, one class a line, or .npy; empty, -1 and nan: unlabelled")
        add("--split", metavar="FILE", help="table of id and train, val, test or none")
        add("--ids", metavar="FILE", help="one id a line, in the order of the rows of an array of features")
        add("--weights", metavar="COLUMN", default="auto", help="name or number of the column of weights, or none (default: the third of three where it holds numbers)")
    if command in ("pyg", "dgl"):
        add("--split-column", metavar="K", type=int, help="which of several stored splits (default: all, for pdadmm's --split-index)")
    if command in ("pyg", "ogb"):
        add("--cache", metavar="DIR", default="data/cache", help="folder of the library's data sets (default: %(default)s)")
    if command in ("pyg", "networkx"):
        add("--trust-pickle", action="store_true", help="run what the file says while reading it; only for files you made")
    return parser


def bundle_name(given, source):
    """As given, else from the source's name without endings."""
    name = given or re.sub(r"(\.(gz|csv|tsv|txt|edges|edgelist|cites|pt|bin|dgl|graphml|gexf|gml|net|json|pickle|gpickle|pkl|npz))+$", "", Path(source).name.lower())
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise Fail(f"name {name!r}: expected letters, digits, '.', '_' and '-'", code=2)
    return name


def read(command, argv):
    """The graph, and the arguments with its name."""
    a = parser_of(command).parse_args(argv)
    a.name = bundle_name(a.name, a.object)
    if command == "edges":
        return edge_lists.read_edge_list(a.object, a.features, a.labels, a.split, a.ids, a.weights), a
    if command == "pyg":
        return pyg_graph.read_pyg(a.object, a.trust_pickle, a.cache, a.split_column), a
    if command == "dgl":
        return library_graphs.read_dgl(a.object, a.split_column), a
    if command == "ogb":
        return library_graphs.read_ogb_object(a.object, a.cache), a
    return library_graphs.read_networkx(a.object, a.trust_pickle), a
