// ONNX Runtime, which computes for TensorRT's double. Its C interface is a table of functions that only ever grows at its end, so
// that their places do instead of headers. DOUBLE_ONNXRUNTIME is the path of libonnxruntime.so.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace doubles {

class OnnxRuntime {
public:
    // What goes in or comes out: an element type of ONNX's, sizes, and memory for all of it.
    struct Tensor {
        char const *name;
        int32_t type;
        std::vector<int64_t> dims;
        void *bytes;
        size_t size;
        bool isInput;
    };

    // A file that is open. Throws what ONNX Runtime says.
    class Session {
    public:
        explicit Session(std::string const &path) {
            OnnxRuntime const &runtime = get();
            void *options = nullptr;
            runtime.call<10>(&options);
            runtime.call<24>(options, 1);
            void *const failed = runtime.function<7, void *(void *, char const *, void *, void **)>()(
                runtime.environment_, path.c_str(), options, &session_);
            runtime.function<100, void(void *)>()(options);
            runtime.check(failed);
        }
        Session(Session const &) = delete;
        ~Session() { get().function<95, void(void *)>()(session_); }

        void run(std::vector<Tensor> const &tensors) const {
            OnnxRuntime const &runtime = get();
            std::vector<char const *> inputNames, outputNames;
            std::vector<void *> inputs, outputs;
            std::string problem;
            try {
                for (auto const &tensor : tensors) {
                    void *value = nullptr;
                    runtime.call<49>(runtime.memory_, tensor.bytes, tensor.size, tensor.dims.data(), tensor.dims.size(),
                        tensor.type, &value);
                    (tensor.isInput ? inputs : outputs).push_back(value);
                    (tensor.isInput ? inputNames : outputNames).push_back(tensor.name);
                }
                void *const none = nullptr;
                runtime.call<9>(session_, none, inputNames.data(), inputs.data(), inputs.size(), outputNames.data(),
                    outputNames.size(), outputs.data());
            } catch (std::runtime_error const &error) {
                problem = error.what();
            }
            for (auto const &values : {inputs, outputs}) {
                for (void *value : values) runtime.function<96, void(void *)>()(value);
            }
            if (!problem.empty()) throw std::runtime_error(problem);
        }

    private:
        void *session_ = nullptr;
    };

private:
    static OnnxRuntime const &get() {
        static OnnxRuntime const *const one = new OnnxRuntime;
        return *one;
    }

    OnnxRuntime() {
        char const *path = std::getenv("DOUBLE_ONNXRUNTIME");
        if (!path) path = "libonnxruntime.so";
        void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library) throw std::runtime_error(dlerror());
        struct Base {
            void *const *(*api)(uint32_t version);
        };
        auto const base = reinterpret_cast<Base const *(*)()>(dlsym(library, "OrtGetApiBase"));
        table_ = base ? base()->api(17) : nullptr;
        if (!table_) throw std::runtime_error(std::string(path) + " is no ONNX Runtime of version 1.17 or newer");
        call<3>(3, "double", &environment_);
        call<6>(environment_);
        call<69>(0, 0, &memory_);
    }

    template <int Place, class Signature>
    Signature *function() const {
        return reinterpret_cast<Signature *>(table_[Place]);
    }

    // Calls a function that gives back a status.
    template <int Place, class... Arguments>
    void call(Arguments... arguments) const {
        check(function<Place, void *(Arguments...)>()(arguments...));
    }

    void check(void *status) const {
        if (!status) return;
        std::string const message = function<2, char const *(void *)>()(status);
        function<93, void(void *)>()(status);
        throw std::runtime_error(message);
    }

    void *const *table_ = nullptr;
    void *environment_ = nullptr;
    void *memory_ = nullptr;
};

} // namespace doubles
