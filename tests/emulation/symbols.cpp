// Names of kernels: most have internal linkage, so they stand in the program's symbol table only, not in the dynamic
// one.
#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include "tests/emulation/grid.hpp"

namespace emulation {
namespace {

std::uintptr_t program_base() {
    std::uintptr_t base = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* first, std::size_t, void* result) {
            *static_cast<std::uintptr_t*>(result) = first->dlpi_addr;
            return 1;
        },
        &base);
    return base;
}

std::map<std::uintptr_t, std::string> read_functions() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
    std::map<std::uintptr_t, std::string> names;
    if (image.size() < sizeof(ElfW(Ehdr))) return names;
    const auto* head = reinterpret_cast<const ElfW(Ehdr)*>(image.data());
    const auto* sections = reinterpret_cast<const ElfW(Shdr)*>(image.data() + head->e_shoff);
    for (int s = 0; s < head->e_shnum; ++s) {
        if (sections[s].sh_type != SHT_SYMTAB) continue;
        const auto* symbols = reinterpret_cast<const ElfW(Sym)*>(image.data() + sections[s].sh_offset);
        const char* texts = image.data() + sections[sections[s].sh_link].sh_offset;
        for (std::size_t k = 0; k < sections[s].sh_size / sizeof(ElfW(Sym)); ++k)
            if ((symbols[k].st_info & 0xf) == STT_FUNC) names[symbols[k].st_value] = texts + symbols[k].st_name;
    }
    return names;
}

}  // namespace

std::string kernel_name(const void* entry) {
    static const std::map<std::uintptr_t, std::string> names = read_functions();
    static const std::uintptr_t base = program_base();
    const auto found = names.find(reinterpret_cast<std::uintptr_t>(entry) - base);
    if (found == names.end()) {
        char text[32];
        std::snprintf(text, sizeof(text), "kernel %p", entry);
        return text;
    }
    int status = 0;
    char* plain = abi::__cxa_demangle(found->second.c_str(), nullptr, nullptr, &status);
    std::string name = status == 0 ? plain : found->second;
    std::free(plain);
    constexpr std::size_t most = 160;
    return name.size() > most ? name.substr(0, most) + "..." : name;
}

}  // namespace emulation
