// Graphs in files, of any size (host/large/graph_source.hpp): labels and splits by the reader of all graphs, which is
// given stand-ins for the arrays that are streamed.
#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "host/console/printable.hpp"
#include "host/data/graph_folder.hpp"
#include "host/data/graph_roles.hpp"
#include "host/large/graph_source.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

constexpr Index at_once = Index{1} << 18;  // values

RawCsr empty_rows(const std::string& name, Index rows, Index cols) {
    RawCsr raw;
    raw.name = name;
    raw.rows = rows;
    raw.cols = cols;
    raw.indptr.assign(static_cast<std::size_t>(rows) + 1, 0);
    return raw;
}

/// Files that may be of the graph at a path: of a folder those beside, below raw/ and below split/, of kinds that are
/// read. What else grows there, a log or the folder that is written, is no part of it.
std::vector<fs::path> files_of_graph(const fs::path& path) {
    std::error_code failed;
    if (!fs::is_directory(path, failed)) return {path};
    std::vector<fs::path> files;
    constexpr auto links = fs::directory_options::follow_directory_symlink;
    for (fs::recursive_directory_iterator at(path, links, failed), end; !failed && at != end; at.increment(failed)) {
        const std::string name = at->path().filename().string(), kind = at->path().extension().string();
        if (at->is_directory(failed)) {
            if (at.depth() == 0 ? name != "raw" && name != "split" : at.depth() > 1) at.disable_recursion_pending();
        } else if (kind == ".npy" || kind == ".npz" || kind == ".csv" || kind == ".gz" || kind == ".mtx" ||
                   kind == ".json") {
            files.push_back(at->path());
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

/// Their names, sizes and times.
std::string stamps(const fs::path& path) {
    std::string text;
    std::error_code failed;
    for (const fs::path& file : files_of_graph(path))
        text += fmt::format("{} {} {}\n", fs::absolute(file, failed).string(), fs::file_size(file, failed),
                            fs::last_write_time(file, failed).time_since_epoch().count());
    return text;
}

/// The member with a role; null where there is none, or several.
const GraphMember* only(const std::vector<GraphMember>& members, Role role) {
    const GraphMember* found = nullptr;
    for (const GraphMember& member : members)
        if (role_of(member.name) == role) {
            if (found) return nullptr;
            found = &member;
        }
    return found;
}

class ArraySource final : public GraphSource {
public:
    ArraySource(const fs::path& path, std::vector<GraphMember> members, const ReadOptions& options)
        : path_(path), file_(printable_path(path)), stamps_(stamps(path)), binary_(options.binary_features) {
        features_ = *only(members, Role::features);
        const GraphMember* edges = only(members, Role::edges);
        edges_ = edges ? *edges : *only(members, Role::adjacency);
        if (const GraphMember* weights = only(members, Role::edge_weights)) weights_ = *weights;
        const auto stream = features_.stream();
        nodes_ = stream->shape()[0];
        const Index width = stream->shape()[1];
        if (std::max(nodes_, width) > INT32_MAX)
            fail(features_.shown, "{} x {}, expected at most {} rows and columns", nodes_, width, INT32_MAX);
        edges ? check_list() : check_rows();
        for (GraphMember& member : members) {
            if (member.name == features_.name)
                member.matrix = [name = features_.shown, n = nodes_, width] { return empty_rows(name, n, width); };
            if (member.name == edges_.name && edges)
                member.array = [name = edges_.shown] { return NpyArray{name, "<i4", {2, 0}, {}}; };
            if (member.name == edges_.name && !edges)
                member.matrix = [name = edges_.name, n = nodes_] { return empty_rows(name, n, n); };
            if (member.name == weights_.name)
                member.array = [name = weights_.shown] { return NpyArray{name, "<f4", {0}, {}}; };
        }
        const std::string name = path.has_extension() ? path.stem().string() : path.filename().string();
        description_ = assemble_graph(members, file_, printable(name), options);
        description_.adjacency = {};
        description_.features.sparse = {};
    }

    const Dataset& description() const override { return description_; }
    bool weighted() const override { return weighted_; }
    bool symmetric() const override { return false; }
    std::string identity() const override { return fmt::format("{}binary {}", stamps_, binary_); }
    std::uint64_t opening_bytes() const override { return 64 * static_cast<std::uint64_t>(nodes_); }

    std::uint64_t stored_edges() const override {
        if (count_ >= 0) return static_cast<std::uint64_t>(count_);
        std::uint64_t count = 0;
        const auto list = edges_.stream();
        for (NpyArray piece = list->next(at_once); piece.shape[0] > 0; piece = list->next(at_once))
            count += static_cast<std::uint64_t>(piece.shape[0]) / 2;
        return count;
    }

    void edges(const TakeEdges& take) const override {
        edges_.row_stream ? rows(take) : list(take);
        require_unchanged();
    }

    void features(const TakeRows& take) const override {
        const auto stream = features_.stream();
        const Index width = stream->shape()[1], rows_at_once = std::max<Index>(1, at_once / width);
        for (Index first = 0; first < nodes_; first += rows_at_once) {
            std::vector<float> values = stream->next(std::min(rows_at_once, nodes_ - first) * width).as_float();
            for (std::size_t k = 0; k < values.size(); ++k)
                if (!is_usable(values[k]))
                    fail(features_.shown, "value {} at row {}, column {}, expected finite and at most 1e15", values[k],
                         first + static_cast<Index>(k) / width, static_cast<Index>(k) % width);
            if (binary_)
                for (float& value : values)
                    if (value > 0) value = 1;
            take(first, values);
        }
        require_unchanged();
    }

private:
    template <typename... Args>
    [[noreturn]] void fail(const std::string& member, fmt::format_string<Args...> text, Args&&... args) const {
        throw DataError(fmt::format("{}: {}: {}", file_, member, fmt::format(text, std::forward<Args>(args)...)));
    }

    /// Every pass over the edges, and a command that goes on, must meet the same graph.
    void require_unchanged() const {
        if (stamps(path_) != stamps_)
            throw DataError(
                fmt::format("{}: changed while it was read, expected the same in every pass; give the "
                            "command again",
                            file_));
    }

    /// An array of which there is only the header, for the rules of shapes that whole arrays are read by.
    NpyArray header_of(const std::string& member, const ArrayStream& stream) const {
        return {fmt::format("{}: {}", file_, member), "", stream.shape(), {}};
    }

    void check_list() {
        const auto list = edges_.stream();
        pairs_ = are_pairs(list->shape(), fmt::format("{}: {}", file_, edges_.shown), edges_.name);
        count_ = list->shape()[0] < 0 ? -1 : list->shape()[pairs_ ? 0 : 1];
        weighted_ = weights_.stream != nullptr;
        if (!weighted_) return;
        weight_count_ = column(header_of(weights_.shown, *weights_.stream())).shape[0];
        if (count_ >= 0) require_weights_of(count_);
    }

    void require_weights_of(Index edges) const {
        if (weight_count_ != edges)
            fail(weights_.shown, "{} entries, expected {} (the edges of {})", weight_count_, edges, edges_.shown);
    }

    void check_rows() {
        const RowStreams s = edges_.row_stream();
        const auto member = [&](const char* part) { return fmt::format("{}_{}", edges_.shown, part); };
        const auto entries = [&](const char* part, const ArrayStream& stream) {
            return ranked(header_of(member(part), stream), 1).shape[0];
        };
        const Index starts = entries("indptr", *s.indptr);
        count_ = entries("indices", *s.indices);
        weighted_ = s.data != nullptr;
        const Index values = weighted_ ? entries("data", *s.data) : count_;
        if (s.rows != nodes_ || s.cols != nodes_)
            fail(member("shape"), "{} x {}, expected {} x {} (the rows of {})", s.rows, s.cols, nodes_, nodes_,
                 features_.shown);
        if (starts != nodes_ + 1)
            fail(member("indptr"), "{} entries, expected {} (one more than the rows of {})", starts, nodes_ + 1,
                 member("shape"));
        if (values != count_)
            fail(member("data"), "{} entries, expected {} (the length of {})", values, count_, member("indices"));
    }

    std::int32_t checked(std::int32_t id, Index edge) const {
        if (id < 0 || id >= nodes_)
            fail(edges_.shown, "node {} at edge {}, expected 0 to {} (the nodes of {})", id, edge, nodes_ - 1,
                 features_.shown);
        return id;
    }
    float checked_weight(float weight, Index edge) const {
        if (!is_usable(weight) || weight <= 0)
            fail(weights_.stream ? weights_.shown : edges_.shown + "_data",
                 "weight {} at edge {}, expected above 0, finite and at most 1e15", weight, edge);
        return weight;
    }

    /// Pairs, or all sources and then all targets, which are read by two streams.
    void list(const TakeEdges& take) const {
        const auto from = edges_.stream();
        const bool interleaved = pairs_ != from->column_major();
        std::unique_ptr<ArrayStream> to, weights = weighted_ ? weights_.stream() : nullptr;
        if (!interleaved) {
            to = edges_.stream();
            to->skip(count_);
        }
        std::vector<StoredEdge> chunk;
        Index first = 0;
        while (count_ < 0 || first < count_) {
            const Index most = count_ < 0 ? at_once : std::min(at_once, count_ - first);
            const std::vector<std::int32_t> ids = from->next(interleaved ? 2 * most : most).as_int32(),
                                            others = to ? to->next(most).as_int32() : std::vector<std::int32_t>();
            const std::size_t count = to ? std::min(ids.size(), others.size()) : ids.size() / 2;
            if (count == 0) break;
            if (weights && first + static_cast<Index>(count) > weight_count_) require_weights_of(stored_edges());
            const std::vector<float> values =
                weights ? weights->next(static_cast<Index>(count)).as_float() : std::vector<float>();
            if (weights && values.size() != count) break;
            chunk.resize(count);
            for (std::size_t k = 0; k < count; ++k) {
                const Index edge = first + static_cast<Index>(k);
                chunk[k] = {checked(to ? ids[k] : ids[2 * k], edge), checked(to ? others[k] : ids[2 * k + 1], edge),
                            weights ? checked_weight(values[k], edge) : 1};
            }
            take(chunk);
            first += static_cast<Index>(count);
        }
        if (weights) require_weights_of(first);
    }

    void rows(const TakeEdges& take) const {
        const RowStreams s = edges_.row_stream();
        Index row = -1, edge = 0;
        std::vector<StoredEdge> chunk;
        for (std::vector<Index> ends = s.indptr->next(at_once).as_index(); !ends.empty();
             ends = s.indptr->next(at_once).as_index())
            for (const Index end : ends) {
                if (row + 1 > nodes_ || (row < 0 ? end != 0 : end < edge || end > count_))
                    fail(edges_.shown + "_indptr", "{} at row {}, expected 0 first, no decrease, {} last", end, row + 1,
                         count_);
                while (edge < end) edge += take_row(s, static_cast<std::int32_t>(row), edge, end, chunk);
                ++row;
                if (static_cast<Index>(chunk.size()) >= at_once) {
                    take(chunk);
                    chunk.clear();
                }
            }
        if (edge != count_) fail(edges_.shown + "_indptr", "ends with {}, expected {}", edge, count_);
        if (!chunk.empty()) take(chunk);
    }

    /// Some entries of a row, from `first` on; how many.
    Index take_row(const RowStreams& s, std::int32_t row, Index first, Index end,
                   std::vector<StoredEdge>& chunk) const {
        const Index count = std::min(at_once, end - first);
        const std::vector<std::int32_t> columns = s.indices->next(count).as_int32();
        const std::vector<float> values = s.data ? s.data->next(count).as_float() : std::vector<float>();
        if (static_cast<Index>(columns.size()) != count || (s.data && values.size() != columns.size()))
            fail(edges_.shown + "_indices", "ends at edge {}, expected {} edges", first, count_);
        for (std::size_t k = 0; k < columns.size(); ++k) {
            const Index edge = first + static_cast<Index>(k);
            chunk.push_back({row, checked(columns[k], edge), s.data ? checked_weight(values[k], edge) : 1});
        }
        return count;
    }

    fs::path path_;
    std::string file_, stamps_;
    GraphMember features_, edges_, weights_;
    Dataset description_;
    Index nodes_ = 0, count_ = 0, weight_count_ = 0;  // count of stored edges; -1: a table tells only when it is read
    bool binary_ = false, weighted_ = false, pairs_ = false;
};

/// Whether a list of edges can be read piece by piece. Of a table that is so where its rows are pairs: two columns, and
/// more than two rows, which could be sources and targets.
bool is_list_of_edges(const GraphMember& edges) {
    const auto list = edges.stream();
    const std::vector<Index>& shape = list->shape();
    const bool table = shape.size() == 2 && shape[0] < 0;
    return !table || (shape[1] == 2 && list->next(6).shape[0] == 6);
}

/// Whether the arrays that may be large are of forms that are streamed.
bool is_streamed(const std::vector<GraphMember>& members) {
    const GraphMember *features = only(members, Role::features), *edges = only(members, Role::edges),
                      *rows = only(members, Role::adjacency), *weights = only(members, Role::edge_weights);
    if (!features || !features->stream || !!edges == !!rows || (weights && (rows || !weights->stream))) return false;
    for (const GraphMember& member : members)
        if (member.matrix && &member != rows) return false;
    if (edges ? !edges->stream || !is_list_of_edges(*edges) : !rows->row_stream) return false;
    const auto stream = features->stream();
    return stream->shape().size() == 2 && stream->shape()[0] > 0 && stream->shape()[1] > 0 && !stream->column_major();
}

}  // namespace

std::unique_ptr<GraphSource> source_of_arrays(const fs::path& path, const ReadOptions& options,
                                              std::uint64_t max_bytes) {
    std::error_code ignored;
    std::vector<GraphMember> members =
        fs::is_directory(path, ignored)
            ? members_of_folder(path, max_bytes)
            : members_of(std::make_shared<const NpzFile>(path, max_bytes), printable_path(path), "matrix");
    if (!is_streamed(members)) return nullptr;
    return std::make_unique<ArraySource>(path, std::move(members), options);
}

}  // namespace pdadmm
