// The files that fuzz_folder.cpp writes into a folder, by number. New ones go behind the last: inputs name them by
// place.
#pragma once

#include <array>
#include <string_view>

inline constexpr std::array<std::string_view, 28> folder_files{"graph.npz",  // the data set is this archive alone
                                                               "features.npy",
                                                               "labels.npy",
                                                               "edge.csv",
                                                               "edge_index.csv",
                                                               "edge_index.npy",
                                                               "edges.npy",
                                                               "edge_weight.npy",
                                                               "edge_weight.csv",
                                                               "adj.mtx",
                                                               "adj.npz",
                                                               "x.mtx",
                                                               "y.csv",
                                                               "train_mask.npy",
                                                               "train_idx.npy",
                                                               "val_idx.csv",
                                                               "num_nodes.npy",
                                                               "class_map.json",  // GraphSAINT's folder
                                                               "role.json",
                                                               "adj_full.npz",
                                                               "feats.npy",
                                                               "raw/edge.csv.gz",  // OGB's
                                                               "raw/node-feat.csv.gz",
                                                               "raw/node-label.csv.gz",
                                                               "raw/num-node-list.csv.gz",
                                                               "raw/data.npz",
                                                               "split/time/train.csv.gz",
                                                               "split/time/test.csv.gz"};
