#!/usr/bin/env python3
"""Makes the graph bundles that pdadmm reads (data/README.md). Needs numpy and scipy, and no network where the raw files lie
in a folder of PDADMM_DATA. Exit codes: 0 done, 2 wrong use, 3 raw files missing or broken, 5 bundle cannot be written.
"""
import argparse
import re
import sys
from pathlib import Path

try:
    import numpy  # noqa: F401
    import scipy  # noqa: F401
except ImportError as missing:
    print(f"prepare.py: error: {missing}; install numpy and scipy (Debian: apt install python3-scipy, then /usr/bin/python3)", file=sys.stderr)
    sys.exit(2)

import conversions
import pyg_graph
import sources
import web_graphs
from bundle import bundle_arrays, description, write_bundle
from graph_formats import Fail, printable, read_graphsaint, read_heterophilous, read_ogb, read_planetoid, read_shchur

EXAMPLES = """examples:
  prepare.py cora                          from PDADMM_DATA, else downloaded; writes data/bundles/cora.npz
  prepare.py --planetoid FOLDER citeseer   from ind.citeseer.* in FOLDER
  prepare.py --graphsaint FOLDER flickr    from adj_full.npz, feats.npy, class_map.json, role.json
  prepare.py --ogb FOLDER arxiv            from FOLDER/raw/*.csv.gz and FOLDER/split/*/*.csv.gz
  prepare.py --heterophilous actor.npz     from node_features, node_labels, edges and train_masks, val_masks, test_masks
  prepare.py --pyg Planetoid/PubMed        through torch_geometric
  prepare.py --pyg graph.pt mine           from a saved dictionary of tensors (x, edge_index, y, train_mask, ...)
  prepare.py edges cites.csv --features x.csv --labels y.csv --split parts.csv
                                           from an edge list with any ids; prepare.py edges --help
  prepare.py networkx graph.graphml        likewise pyg, dgl, ogb: objects that those libraries saved
"""


def parse_arguments(argv):
    parser = conversions.Parser(prog="prepare.py", description=__doc__.split("\n\n")[0], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
                    allow_abbrev=False)
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"data set: {', '.join(sources.SOURCES)}; with a folder of your own, the bundle's name")
    parser.add_argument("--out", metavar="DIR", default="data/bundles", help="folder of the bundle (default: %(default)s)")
    parser.add_argument("--cache", metavar="DIR", default="data/cache", help="folder of downloads (default: %(default)s)")
    parser.add_argument("--offline", action="store_true", help="never download")
    parser.add_argument("--list", action="store_true", help="show the data sets, where they come from and their licence")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--planetoid", metavar="DIR", help="folder of ind.NAME.* files")
    given.add_argument("--graphsaint", metavar="DIR", help="folder in GraphSAINT's form")
    given.add_argument("--ogb", metavar="DIR", help="folder of an OGB node property data set")
    given.add_argument("--heterophilous", metavar="FILE", help=".npz file in the form of the heterophilous graph collection (actor, texas, minesweeper, ...)")
    given.add_argument("--pyg", metavar="OBJECT", help=".pt file, or a data set of torch_geometric such as Flickr or Planetoid/Cora")
    parser.add_argument("--split-column", metavar="K", type=int, help="which of several stored splits (default: all, for pdadmm's --split-index)")
    parser.add_argument("--trust-pickle", action="store_true", help="with --pyg FILE.pt: run what the file says while reading it; only for files you made")
    return parser.parse_args(argv)


def name_of(arguments):
    """The bundle's name: as given, else from the folder."""
    name = arguments.name
    if name is None:
        given = arguments.graphsaint or arguments.ogb or arguments.heterophilous or arguments.pyg
        if given is None:
            raise Fail(f"which data set? expected one of {', '.join(sources.SOURCES)}; see prepare.py --help", code=2)
        name = Path(given).resolve().stem.lower() if not arguments.pyg else re.sub(r"\.pt$", "", Path(given).name).lower()
    return conversions.bundle_name(name, name)


def read_built_in(name, arguments):
    source = sources.SOURCES.get(name)
    if source is None:
        raise Fail(f"{name}: unknown data set, expected one of {', '.join(sources.SOURCES)}, or a folder of your own (prepare.py --help)", code=2)
    sources.refuse_unfit(name, source)
    folder = sources.find_raw(source)
    if folder is None and arguments.offline:
        raise Fail(f"{name}: no {next(iter(source.files))} in the folders of PDADMM_DATA, and --offline was given; put {sources.needed(name, source)} below one of them")
    folder = folder or sources.fetch(name, source, arguments.cache)
    first = folder / next(iter(source.files))
    readers = {
        "planetoid": lambda: read_planetoid(folder, name), "shchur": lambda: read_shchur(first), "graphsaint": lambda: read_graphsaint(folder),
        "heterophilous": lambda: pyg_graph.graph_from_pyg(read_heterophilous(first), arguments.split_column), "ogb": lambda: read_ogb(folder),
        "wikics": lambda: pyg_graph.graph_from_pyg(web_graphs.read_wikics(first), arguments.split_column), "mag": lambda: web_graphs.read_mag(folder),
    }
    return readers[source.kind]()


def read_graph(name, arguments):
    if arguments.planetoid:
        return read_planetoid(arguments.planetoid, name)
    if arguments.graphsaint:
        return read_graphsaint(arguments.graphsaint)
    if arguments.ogb:
        return read_ogb(arguments.ogb)
    if arguments.heterophilous:
        return pyg_graph.graph_from_pyg(read_heterophilous(arguments.heterophilous), arguments.split_column)
    if arguments.pyg:
        return pyg_graph.read_pyg(arguments.pyg, arguments.trust_pickle, arguments.cache, arguments.split_column)
    return read_built_in(name, arguments)


def check_identity(name, graph):
    """A built-in name must be that data set: the program refuses it otherwise, and a bundle must not get in its way."""
    source = sources.SOURCES.get(name)
    found = (*graph.x.shape, graph.classes)
    if source and found != source.counts:
        raise Fail("{}: {} nodes, {} features, {} classes, expected {}, {}, {}; give your own graph another name".format(name, *found, *source.counts))


def list_sources():
    for name, source in sources.SOURCES.items():
        address = next(iter(source.files.values())) or (source.origin,)
        print(f"{name:18} {source.counts[0]:>9} nodes  split: {source.split}; licence: {source.licence}; {source.unfit or address[0]}")


def main(argv):
    if argv and argv[0] in conversions.COMMANDS:
        graph, arguments = conversions.read(argv[0], argv[1:])
        name = arguments.name
    else:
        arguments = parse_arguments(argv)
        if arguments.list:
            return list_sources()
        name = name_of(arguments)
        graph = read_graph(name, arguments)
    check_identity(name, graph)
    try:
        arrays = bundle_arrays(graph)
    except Fail as error:
        raise Fail(f"{name}: {error}", error.code) from None
    path = Path(arguments.out) / f"{name}.npz"
    digest = write_bundle(arrays, path)
    for note in graph.notes:
        print(f"{name}: {printable(note)}")
    print(f"{name}: {description(graph)} -> {path} (SHA-256 {digest})")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Fail as error:
        print(f"prepare.py: error: {printable(error)}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(130)
