// The table of names (host/data/graph_roles.hpp).
#include "host/data/graph_roles.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "host/format/text_file.hpp"

namespace pdadmm {
namespace {

struct NamedRole {
    std::string_view name;
    Role role;
};

// Ours, Shchur's, PyTorch Geometric's, those of the heterophilous graphs, OGB's and GraphSAINT's. In messages the first
// names of a role come first.
constexpr std::array kRoles{
    NamedRole{"pdadmm_bundle", Role::marker},
    NamedRole{"features", Role::features},
    NamedRole{"x", Role::features},
    NamedRole{"node_features", Role::features},
    NamedRole{"node_feat", Role::features},
    NamedRole{"attr", Role::features},
    NamedRole{"attr_matrix", Role::features},
    NamedRole{"feats", Role::features},
    NamedRole{"feat", Role::features},
    NamedRole{"feature", Role::features},
    NamedRole{"labels", Role::labels},
    NamedRole{"y", Role::labels},
    NamedRole{"node_labels", Role::labels},
    NamedRole{"node_label", Role::labels},
    NamedRole{"label", Role::labels},
    NamedRole{"edge_index", Role::edges},
    NamedRole{"edges", Role::edges},
    NamedRole{"edge", Role::edges},
    NamedRole{"edge_list", Role::edges},
    NamedRole{"edge_weight", Role::edge_weights},
    NamedRole{"edge_weights", Role::edge_weights},
    NamedRole{"adj", Role::adjacency},
    NamedRole{"adjacency", Role::adjacency},
    NamedRole{"adj_full", Role::adjacency},
    NamedRole{"graph", Role::adjacency},
    NamedRole{"classes", Role::class_count},
    NamedRole{"num_nodes", Role::node_count},
    NamedRole{"num_node_list", Role::node_count},
    NamedRole{"num_nodes_list", Role::node_count},
    NamedRole{"node_ids", Role::node_names},
    NamedRole{"class_names", Role::class_names},
    NamedRole{"edge_attr", Role::edge_features},
    NamedRole{"edge_feat", Role::edge_features},
};

std::string plain(std::string_view name) {
    std::string out(name);
    std::replace(out.begin(), out.end(), '-', '_');
    return out;
}

std::vector<std::string> words_of(std::string_view name) {
    std::vector<std::string> words(1);
    for (const char c : lower(plain(name)))
        if (c == '_')
            words.emplace_back();
        else
            words.back() += c;
    return words;
}

template <std::size_t n>
bool among(const std::string& word, const std::array<std::string_view, n>& words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr std::array<std::string_view, 4> kTrain{"train", "training", "tr", "trn"};
constexpr std::array<std::string_view, 5> kVal{"val", "valid", "validation", "va", "dev"};
constexpr std::array<std::string_view, 3> kTest{"test", "testing", "te"};
constexpr std::array<std::string_view, 2> kMask{"mask", "masks"};
constexpr std::array<std::string_view, 7> kIds{"idx", "index", "indices", "id", "ids", "node", "nodes"};
constexpr std::array<std::string_view, 3> kOther{"split", "splits", "stopping"};

int part_of(const std::string& word) {
    return among(word, kTrain) ? 0 : among(word, kVal) ? 1 : among(word, kTest) ? 2 : -1;
}

}  // namespace

std::optional<Role> role_of(std::string_view name) {
    const std::string wanted = plain(name);
    const auto at = std::find_if(kRoles.begin(), kRoles.end(), [&](const NamedRole& r) { return r.name == wanted; });
    return at == kRoles.end() ? std::nullopt : std::optional(at->role);
}

std::string names_of(Role role) {
    std::string text;
    for (const NamedRole& r : kRoles)
        if (r.role == role) text += (text.empty() ? "" : ", ") + std::string(r.name);
    return text;
}

std::optional<SplitRole> split_role_of(std::string_view name) {
    const std::vector<std::string> words = words_of(name);
    if (words.size() > 2) return std::nullopt;
    const bool turned = words.size() == 2 && part_of(words[0]) < 0;  // idx_train
    const int part = part_of(words[turned ? 1 : 0]);
    if (part < 0) return std::nullopt;
    if (words.size() == 1) return SplitRole{part, false};
    const std::string& kind = words[turned ? 0 : 1];
    if (among(kind, kMask)) return SplitRole{part, true};
    return among(kind, kIds) ? std::optional(SplitRole{part, false}) : std::nullopt;
}

bool speaks_of_split(std::string_view name) {
    const std::vector<std::string> words = words_of(name);
    return std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return part_of(word) >= 0 || among(word, kMask) || among(word, kOther);
    });
}

}  // namespace pdadmm
