// One planted memory or arithmetic fault, named on the command line; a build with sanitizers must stop at it.
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int count, char** arguments) {
    const std::string_view fault = count > 1 ? arguments[1] : "";
    auto* const volatile bytes = static_cast<volatile char*>(std::malloc(8));
    bytes[0] = 1;
    if (fault == "overflow") std::printf("%d\n", bytes[7 + bytes[0]]);
    if (fault == "leak") {
        *const_cast<volatile char* volatile*>(&bytes) = nullptr;
        return 0;
    }
    std::free(const_cast<char*>(bytes));
    if (fault == "freed") std::printf("%d\n", bytes[0]);
    if (fault == "arithmetic") {
        volatile int largest = INT_MAX;
        std::printf("%d\n", largest + count);
    }
    std::printf("not detected\n");
}
