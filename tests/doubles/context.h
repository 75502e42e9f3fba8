// An execution context of TensorRT's double. `enqueueV3` puts four kinds of work on the stream: copies to pinned memory, a function
// of the host that runs ONNX Runtime, copies back; so it can be captured in a graph, with the double of CUDA's driver or a real one.
#pragma once

#include <map>
#include <memory>

#include "engine.h"

namespace doubles {

// Pinned memory for one combination of input shapes, alive as long as the context: a graph may still use it.
struct Staging {
    Loaded &loaded;
    std::vector<OnnxRuntime::Tensor> tensors;

    static void run(void *self) {
        auto const &staging = *static_cast<Staging *>(self);
        try {
            staging.loaded.session->run(staging.tensors);
        } catch (std::runtime_error const &error) {
            report(staging.loaded.logger, Severity::kERROR, "IExecutionContext::enqueueV3: %s", error.what());
            // Not a number: nobody is to take it for a result.
            for (auto const &tensor : staging.tensors) {
                if (!tensor.isInput) std::memset(tensor.bytes, 0xFF, tensor.size);
            }
        }
    }
};

// ONNX's element type and size of one of TensorRT's.
struct Element {
    int32_t onnx;
    size_t size;
    explicit Element(int32_t type) {
        switch (static_cast<DataType>(type)) {
        case DataType::kFLOAT: onnx = 1, size = 4; break;
        case DataType::kHALF: onnx = 10, size = 2; break;
        case DataType::kBF16: onnx = 16, size = 2; break;
        case DataType::kINT8: onnx = 3, size = 1; break;
        case DataType::kUINT8: onnx = 2, size = 1; break;
        case DataType::kBOOL: onnx = 9, size = 1; break;
        case DataType::kINT64: onnx = 7, size = 8; break;
        default: onnx = 6, size = 4; break;
        }
    }
};

struct Context final : MissingVExecutionContext {
    static constexpr char const *interface = "IExecutionContext";

    explicit Context(std::shared_ptr<Loaded> shared) : loaded_(std::move(shared)), plan_(loaded_->plan) {
        ++loaded_->contexts;
        for (auto const &port : plan_.ports) {
            bool isStatic = port.isInput;
            for (auto const size : port.dims) isStatic = isStatic && size >= 0;
            if (isStatic) shapes_[port.name] = port.dims;
        }
    }
    ~Context() override {
        --loaded_->contexts;
        Device const *const device = Device::get();
        if (!device) return;
        if (memory_) device->release(memory_);
        for (auto const &[shapes, staging] : stagings_) {
            for (auto const &tensor : staging->tensors) device->releaseHost(tensor.bytes);
        }
    }

    // False where the device has no room.
    bool allocate() {
        uint64_t const bytes = loaded_->contextBytes();
        Device const *const device = Device::get();
        if (device && (bytes == 0 || !device->allocate(&memory_, bytes))) return true;
        memory_ = 0;
        fail("createExecutionContext",
            "Requested amount of GPU memory (" + std::to_string(bytes)
                + " bytes) could not be allocated. There may not be enough free memory for allocation to succeed.");
        return false;
    }

    bool setOptimizationProfileAsync(int32_t index, cudaStream_t stream) noexcept {
        calls::Call call("VExecutionContext", "setOptimizationProfileAsync", this);
        call.argument("profile", index).argument("stream", static_cast<void const *>(stream));
        if (index < 0 || static_cast<size_t>(index) >= plan_.profiles.size()) {
            return call.result(fail("setOptimizationProfileAsync",
                "profile " + std::to_string(index) + " of " + std::to_string(plan_.profiles.size())));
        }
        isWarm_ = isWarm_ && profile_ == index;
        profile_ = index;
        return call.result(true);
    }
    int32_t getOptimizationProfile() const noexcept { return profile_; }

    bool setInputShape(char const *name, Dims const &dims) noexcept {
        calls::Call call("VExecutionContext", "setInputShape", this);
        call.argument("name", name).argument("dims", dims.d, dims.nbDims);
        Port const *const port = plan_.port(name);
        if (!port || !port->isInput) return call.result(fail("setInputShape", std::string("no input is called ") + (name ? name : "")));
        if (dims.nbDims < 0 || static_cast<size_t>(dims.nbDims) != port->dims.size()) {
            return call.result(fail("setInputShape", port->name + " has " + std::to_string(port->dims.size()) + " dimensions, not "
                + std::to_string(dims.nbDims)));
        }
        auto const &range = profile().at(port->name);
        for (size_t i = 0; i < port->dims.size(); ++i) {
            if (dims.d[i] >= range[0][i] && dims.d[i] <= range[2][i]) continue;
            return call.result(fail("setInputShape",
                "Supplied dimension " + std::to_string(dims.d[i]) + " at index " + std::to_string(i) + " of " + port->name
                    + " is outside of the profile's " + std::to_string(range[0][i]) + " to " + std::to_string(range[2][i])));
        }
        std::vector<int64_t> const sizes(dims.d, dims.d + dims.nbDims);
        isWarm_ = isWarm_ && shapes_[port->name] == sizes;
        shapes_[port->name] = sizes;
        return call.result(true);
    }

    Dims getTensorShape(char const *name) const noexcept {
        Port const *const port = plan_.port(name);
        Dims dims{};
        dims.nbDims = -1;
        if (port) dims = dimensions(shape(*port));
        calls::Call("VExecutionContext", "getTensorShape", this).argument("name", name).argument("dims", dims.d, dims.nbDims);
        return dims;
    }

    bool allInputDimensionsSpecified() const noexcept {
        for (auto const &port : plan_.ports) {
            if (port.isInput && !shapes_.count(port.name)) return false;
        }
        return true;
    }

    bool setTensorAddress(char const *name, void *address) noexcept {
        calls::Call call("VExecutionContext", "setTensorAddress", this);
        call.argument("name", name).argument("address", static_cast<void const *>(address));
        Port const *const port = plan_.port(name);
        if (!port) return call.result(fail("setTensorAddress", std::string("no tensor is called ") + (name ? name : "")));
        if (reinterpret_cast<uintptr_t>(address) % 256) {
            return call.result(fail("setTensorAddress", "the address of " + port->name + " is not aligned to 256 bytes"));
        }
        addresses_[port->name] = reinterpret_cast<uintptr_t>(address);
        return call.result(true);
    }
    bool setInputTensorAddress(char const *name, void const *address) noexcept {
        return setTensorAddress(name, const_cast<void *>(address));
    }
    bool setOutputTensorAddress(char const *name, void *address) noexcept { return setTensorAddress(name, address); }
    void const *getTensorAddress(char const *name) const noexcept {
        auto const found = addresses_.find(name);
        return found == addresses_.end() ? nullptr : reinterpret_cast<void const *>(found->second);
    }

    bool enqueueV3(cudaStream_t stream) noexcept {
        calls::Call call("VExecutionContext", "enqueueV3", this);
        call.argument("stream", static_cast<void const *>(stream)).argument("profile", profile_);
        return call.result(enqueue(stream));
    }

private:
    Ranges const &profile() const { return plan_.profiles[static_cast<size_t>(profile_)]; }

    bool fail(char const *method, std::string const &problem) const {
        report(loaded_->logger, Severity::kERROR, "IExecutionContext::%s: %s", method, problem.c_str());
        return false;
    }

    // An output's sizes are those of the inputs with the same names in the ONNX file; -1 where there is none.
    std::vector<int64_t> shape(Port const &port) const {
        if (port.isInput) {
            auto const found = shapes_.find(port.name);
            return found == shapes_.end() ? port.dims : found->second;
        }
        std::vector<int64_t> sizes = port.dims;
        for (size_t i = 0; i < sizes.size(); ++i) {
            if (sizes[i] < 0) sizes[i] = symbol(port.symbols[i]);
        }
        return sizes;
    }

    int64_t symbol(std::string const &name) const {
        for (auto const &port : plan_.ports) {
            auto const found = shapes_.find(port.name);
            if (!port.isInput || found == shapes_.end() || name.empty()) continue;
            for (size_t i = 0; i < port.symbols.size(); ++i) {
                if (port.symbols[i] == name) return found->second[i];
            }
        }
        return -1;
    }

    bool enqueue(cudaStream_t stream) {
        if (failsAt("enqueue")) return fail("enqueueV3", "DOUBLE_TENSORRT_FAIL asked for this");
        Device const *const device = Device::get();
        int capturing = 0;
        if (!device || device->isCapturing(stream, &capturing)) return fail("enqueueV3", "the stream is none of this device's");
        for (auto const &port : plan_.ports) {
            for (auto const size : shape(port)) {
                if (size < 0) return fail("enqueueV3", "the dimensions of " + port.name + " are not known");
            }
            if (!addresses_.count(port.name) || !addresses_[port.name]) {
                return fail("enqueueV3", "Address is not set for tensor " + port.name);
            }
        }
        // After a change of shapes TensorRT has work to do that no graph can hold.
        if (capturing && !isWarm_) {
            return fail("enqueueV3", "shapes changed since the last enqueue, which is not permitted when stream is capturing");
        }
        Staging *const staging = stage(*device);
        if (!staging) return false;
        auto &tensors = staging->tensors;
        bool sent = true;
        for (auto &tensor : tensors) {
            if (tensor.isInput && sent) sent = !device->toHost(tensor.bytes, addresses_[tensor.name], tensor.size, stream);
        }
        sent = sent && !device->launchHost(stream, &Staging::run, staging);
        for (auto &tensor : tensors) {
            if (!tensor.isInput && sent) sent = !device->toDevice(addresses_[tensor.name], tensor.bytes, tensor.size, stream);
        }
        if (!sent) return fail("enqueueV3", "CUDA error: a tensor's address is not memory of the device, or too small");
        isWarm_ = true;
        return true;
    }

    Staging *stage(Device const &device) {
        auto &staging = stagings_[shapes_];
        if (staging) return staging.get();
        auto made = std::make_unique<Staging>(Staging{*loaded_, {}});
        for (auto const &port : plan_.ports) {
            Element const element(port.type);
            OnnxRuntime::Tensor tensor{port.name.c_str(), element.onnx, shape(port), nullptr, element.size, port.isInput};
            for (auto const size : tensor.dims) tensor.size *= static_cast<size_t>(size);
            if (device.allocateHost(&tensor.bytes, tensor.size, 0)) {
                fail("enqueueV3", "no pinned memory");
                return nullptr;
            }
            made->tensors.push_back(tensor);
        }
        staging = std::move(made);
        return staging.get();
    }

    std::shared_ptr<Loaded> const loaded_;
    Plan const &plan_;
    unsigned long long memory_ = 0;
    int32_t profile_ = 0;
    std::map<std::string, std::vector<int64_t>> shapes_;
    std::map<std::string, uintptr_t> addresses_;
    std::map<std::map<std::string, std::vector<int64_t>>, std::unique_ptr<Staging>> stagings_;
    // Whether the shapes are those of the last enqueue.
    bool isWarm_ = false;
};

} // namespace doubles
