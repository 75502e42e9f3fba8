// What the parts of TensorRT's double share: the headers, messages, and the shells around objects.
// Compiled against the headers of 11.4 and of each TensorRT for RTX; those of 10.x do, too, where a machine has them.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>
#include <type_traits>
#include <vector>

#include "NvInfer.h"
#include "NvOnnxParser.h"

#include "calls.h"

namespace doubles {

// What a method answers that the double does not have: nothing, noted in the record of calls and on standard error.
template <class Result>
Result missing(char const *type, char const *method) {
    calls::Call(type, method).argument("missing", true);
    std::fprintf(stderr, "the double of TensorRT does not have %s::%s\n", type, method);
    if constexpr (std::is_reference_v<Result>) {
        static char nothing[256];
        return reinterpret_cast<Result>(nothing);
    } else if constexpr (!std::is_void_v<Result>) {
        return Result{};
    }
}

} // namespace doubles

#include "missing_classes.h"

namespace doubles {

using namespace nvinfer1;
using namespace nvinfer1::apiv;
using Severity = ILogger::Severity;

#ifdef TRT_MAJOR_RTX
constexpr bool isRtx = true;
#else
constexpr bool isRtx = false;
#endif

// What getInferLibVersion answers: the headers' version, or DOUBLE_TENSORRT_VERSION.
inline int32_t version() {
    char const *text = std::getenv("DOUBLE_TENSORRT_VERSION");
    return text && *text ? std::atoi(text) : static_cast<int32_t>(NV_TENSORRT_VERSION);
}

inline long setting(char const *name, long otherwise) {
    char const *text = std::getenv(name);
    return text && *text ? std::atol(text) : otherwise;
}

// Whether DOUBLE_TENSORRT_FAIL names this step: build, deserialize, context or enqueue.
inline bool failsAt(char const *step) {
    char const *text = std::getenv("DOUBLE_TENSORRT_FAIL");
    return text && std::string(text) == step;
}

// Asks an object of the client's what it is, where its interface has versions, and notes the answer: a table of functions that is put
// together wrongly shows here.
template <class Interface>
void inspect(calls::Call &call, Interface const &object) {
    if constexpr (std::is_base_of_v<IVersionedInterface, Interface>) {
        InterfaceInfo const info = object.getInterfaceInfo();
        call.argument("kind", info.kind).argument("major", info.major).argument("minor", info.minor);
        call.argument("language", static_cast<int32_t>(object.getAPILanguage()));
    }
}

__attribute__((format(printf, 3, 4))) inline void report(ILogger &logger, Severity severity, char const *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    logger.log(severity, text);
}

inline std::string json(Dims const &dims) { return calls::json(dims.d, dims.nbDims < 0 ? 0 : dims.nbDims); }

inline Dims dimensions(std::vector<int64_t> const &sizes) {
    Dims dims{};
    dims.nbDims = static_cast<int32_t>(sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i) dims.d[i] = sizes[i];
    return dims;
}

// TensorRT's objects are shells with one pointer to what does the work.
template <class Interface, class Implementation>
class Shell final : public Interface {
public:
    explicit Shell(Implementation *implementation) { this->mImpl = implementation; }
    ~Shell() noexcept override {
        calls::Call(Implementation::interface, "delete", this->mImpl);
        delete this->mImpl;
    }
    Implementation &implementation() const { return static_cast<Implementation &>(*this->mImpl); }
};

// The object behind a shell that the client hands back.
template <class Implementation, class Interface>
Implementation &behind(Interface const &shell) {
    return static_cast<Shell<Interface, Implementation> const &>(shell).implementation();
}

struct HostMemory final : MissingVHostMemory {
    static constexpr char const *interface = "IHostMemory";
    explicit HostMemory(std::string bytes) : bytes_(std::move(bytes)) {}
    void *data() const noexcept { return const_cast<char *>(bytes_.data()); }
    std::size_t size() const noexcept { return bytes_.size(); }
    DataType type() const noexcept { return DataType::kINT8; }

    static IHostMemory *make(std::string bytes) {
        return new Shell<IHostMemory, HostMemory>(new HostMemory(std::move(bytes)));
    }

private:
    std::string bytes_;
};

} // namespace doubles
