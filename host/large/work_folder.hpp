// The folder that --out names while an augmentation is made in it: whose it is, and what dead commands left there.
#pragma once

#include <string>

#include "host/store/folder.hpp"

namespace pdadmm {

/// Whether the folder holds the whole result of this identity. Throws UsageError where it holds another one, or
/// something that no augmentation began.
bool holds_result(const Folder& folder, const std::string& identity);

/// The work in a folder, made where it is missing and held by a lock as long as the object is; unfinished files of dead
/// commands are gone. Throws UsageError where a folder of its name has other things in it, OutputError where another
/// command holds it.
class WorkFolder {
public:
    explicit WorkFolder(const Folder& folder);
    const Folder& folder() const { return work_; }

private:
    Folder work_;
    Descriptor lock_;
};

/// Removes the work, where there is any.
void remove_work(const Folder& folder);

}  // namespace pdadmm
