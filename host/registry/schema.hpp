// Tables of the registry, by version: a file of an earlier version is brought to the newest, one of a later is refused.
#pragma once

#include "host/registry/sqlite.hpp"

namespace pdadmm {

/// The newest version, which this program writes.
int schema_version();

/// Makes or migrates the tables. Throws DataError where the file is another program's, or of a later version.
void prepare_schema(Database& database);

/// The same checks of a file that is only read, whose version must be the newest.
void require_schema(Database& database);

}  // namespace pdadmm
