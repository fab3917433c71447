// Style and script of a report: they stand in the page, which loads nothing.
#pragma once

namespace pdadmm {

extern const char* const report_style;
/// Values under the pointer or the arrow keys, and copying of the configuration. The page is whole without it.
extern const char* const report_script;

}  // namespace pdadmm
