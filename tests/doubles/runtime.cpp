// The runtime and the engines of TensorRT's double.
#include <cstring>

#include "context.h"

namespace doubles {
namespace {

struct Engine final : MissingVCudaEngine {
    static constexpr char const *interface = "ICudaEngine";

    explicit Engine(std::shared_ptr<Loaded> shared) : loaded_(std::move(shared)), plan_(loaded_->plan) {}
    ~Engine() override {
        if (loaded_->contexts) fail("delete", "an engine ends before its execution contexts");
    }

    int32_t getNbLayers() const noexcept { return plan_.layers; }
    char const *getName() const noexcept { return "double"; }
    int32_t getNbIOTensors() const noexcept { return count("getNbIOTensors", plan_.ports.size()); }
    int32_t getNbOptimizationProfiles() const noexcept { return count("getNbOptimizationProfiles", plan_.profiles.size()); }

    char const *getIOTensorName(int32_t index) const noexcept {
        calls::Call call("VCudaEngine", "getIOTensorName", this);
        call.argument("index", index);
        bool const exists = index >= 0 && static_cast<size_t>(index) < plan_.ports.size();
        return call.result(exists ? plan_.ports[static_cast<size_t>(index)].name.c_str() : static_cast<char const *>(nullptr));
    }
    Dims getTensorShape(char const *name) const noexcept {
        Port const *const port = find("getTensorShape", name);
        if (port) return dimensions(port->dims);
        return nothing();
    }
    DataType getTensorDataType(char const *name) const noexcept {
        Port const *const port = find("getTensorDataType", name);
        return port ? static_cast<DataType>(port->type) : DataType::kFLOAT;
    }
    TensorIOMode getTensorIOMode(char const *name) const noexcept {
        Port const *const port = find("getTensorIOMode", name);
        return !port ? TensorIOMode::kNONE : port->isInput ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    }
    TensorLocation getTensorLocation(char const *name) const noexcept {
        find("getTensorLocation", name);
        return TensorLocation::kDEVICE;
    }
    int32_t getTensorBytesPerComponent(char const *name) const noexcept {
        Port const *const port = find("getTensorBytesPerComponent", name);
        return port ? static_cast<int32_t>(Element(port->type).size) : -1;
    }
    Dims getProfileShape(char const *name, int32_t profile, OptProfileSelector select) const noexcept {
        Port const *const port = find("getProfileShape", name);
        bool const exists = profile >= 0 && static_cast<size_t>(profile) < plan_.profiles.size();
        auto const which = static_cast<size_t>(select);
        if (!port || !port->isInput || !exists || which > 2) return nothing();
        return dimensions(plan_.profiles[static_cast<size_t>(profile)].at(port->name)[which]);
    }
    HardwareCompatibilityLevel getHardwareCompatibilityLevel() const noexcept {
        return plan_.isHardwareCompatible ? HardwareCompatibilityLevel::kAMPERE_PLUS : HardwareCompatibilityLevel::kNONE;
    }
    int64_t getDeviceMemorySizeV2() const noexcept {
        return calls::Call("VCudaEngine", "getDeviceMemorySizeV2", this).result(static_cast<int64_t>(loaded_->contextBytes()));
    }
    int64_t getStreamableWeightsSize() const noexcept {
        int64_t const bytes = plan_.streamsWeights ? static_cast<int64_t>(plan_.weightBytes()) : 0;
        return calls::Call("VCudaEngine", "getStreamableWeightsSize", this).result(bytes);
    }
    bool setWeightStreamingBudgetV2(int64_t bytes) noexcept {
        calls::Call call("VCudaEngine", "setWeightStreamingBudgetV2", this);
        call.argument("bytes", bytes);
        if (!plan_.streamsWeights) return call.result(fail("setWeightStreamingBudgetV2", "the engine was built without weight streaming"));
        return call.result(bytes >= 0);
    }
    IHostMemory *serialize() const noexcept { return HostMemory::make(write(plan_)); }

    IExecutionContext *createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept {
        calls::Call call("VCudaEngine", "createExecutionContext", this);
        call.argument("strategy", static_cast<int32_t>(strategy));
        if (failsAt("context")) {
            fail("createExecutionContext", "DOUBLE_TENSORRT_FAIL asked for this");
            return nullptr;
        }
        auto context = std::make_unique<Context>(loaded_);
        if (strategy == ExecutionContextAllocationStrategy::kSTATIC && !context->allocate()) return nullptr;
        call.result(static_cast<void const *>(context.get()));
        return new Shell<IExecutionContext, Context>(context.release());
    }

private:
    static Dims nothing() {
        Dims dims{};
        dims.nbDims = -1;
        return dims;
    }
    int32_t count(char const *method, size_t number) const {
        return calls::Call("VCudaEngine", method, this).result(static_cast<int32_t>(number));
    }
    bool fail(char const *method, std::string const &problem) const {
        report(loaded_->logger, Severity::kERROR, "ICudaEngine::%s: %s", method, problem.c_str());
        return false;
    }
    Port const *find(char const *method, char const *name) const {
        calls::Call("VCudaEngine", method, this).argument("name", name);
        Port const *const port = plan_.port(name);
        if (!port) fail(method, std::string("no tensor is called ") + (name ? name : ""));
        return port;
    }

    std::shared_ptr<Loaded> const loaded_;
    Plan const &plan_;
};

struct Runtime final : MissingVRuntime {
    static constexpr char const *interface = "IRuntime";
    explicit Runtime(ILogger &logger) : logger_(logger) {}

    ILogger *getLogger() const noexcept { return &logger_; }
    bool setMaxThreads(int32_t threads) noexcept {
        return calls::Call("VRuntime", "setMaxThreads", this).argument("threads", threads).result(threads > 0);
    }
    void setEngineHostCodeAllowed(bool allowed) noexcept {
        calls::Call("VRuntime", "setEngineHostCodeAllowed", this).argument("allowed", allowed);
        hostCodeAllowed_ = allowed;
    }
    bool getEngineHostCodeAllowed() const noexcept { return hostCodeAllowed_; }

    ICudaEngine *deserializeCudaEngine(void const *blob, std::size_t size) noexcept {
        calls::Call call("VRuntime", "deserializeCudaEngine", this);
        call.argument("size", size);
        return deserialize(call, {static_cast<char const *>(blob), size});
    }

#if defined(TRT_MAJOR_RTX) || NV_TENSORRT_VERSION >= 100700
    ICudaEngine *deserializeCudaEngineV2(IStreamReaderV2 &reader) noexcept {
        calls::Call call("VRuntime", "deserializeCudaEngineV2", this);
        inspect(call, reader);
        std::string bytes;
        char part[1 << 16];
        int64_t read = 0;
        while ((read = reader.read(part, sizeof part, nullptr)) > 0) bytes.append(part, static_cast<size_t>(read));
        call.argument("size", bytes.size());
        if (read < 0) {
            report(logger_, Severity::kERROR, "IRuntime::deserializeCudaEngine: the stream reader failed");
            return nullptr;
        }
        return deserialize(call, bytes);
    }
#endif

#ifdef TRT_MAJOR_RTX
    EngineValidity getEngineValidity(void const *blob, int64_t size, uint64_t *diagnostics) const noexcept {
        calls::Call call("VRuntime", "getEngineValidity", this);
        call.argument("size", size);
        if (diagnostics) *diagnostics = 0;
        try {
            check(readPlan({static_cast<char const *>(blob), static_cast<size_t>(size)}));
            call.result(static_cast<int32_t>(EngineValidity::kVALID));
            return EngineValidity::kVALID;
        } catch (std::exception const &) {
            call.result(static_cast<int32_t>(EngineValidity::kINVALID));
            return EngineValidity::kINVALID;
        }
    }
#endif

private:
    ICudaEngine *deserialize(calls::Call &call, std::string_view bytes) {
        try {
            if (failsAt("deserialize")) throw std::runtime_error("DOUBLE_TENSORRT_FAIL asked for this");
            Plan plan = readPlan(bytes);
            check(plan);
            auto *const engine = new Engine(std::make_shared<Loaded>(logger_, std::move(plan)));
            call.result(static_cast<void const *>(engine));
            return new Shell<ICudaEngine, Engine>(engine);
        } catch (std::exception const &error) {
            report(logger_, Severity::kERROR, "IRuntime::deserializeCudaEngine: %s", error.what());
            return nullptr;
        }
    }

    // Throws what TensorRT would refuse a plan for.
    void check(Plan const &plan) const {
        std::string const mine = Plan().family;
        bool const compatible = plan.isVersionCompatible && !isRtx && plan.version <= version();
        if (plan.family != mine && !compatible) {
            throw std::runtime_error("Serialization assertion magicTagRead == kMAGIC_TAG failed. Trying to load an engine created "
                                     "with incompatible serialization version");
        }
        if (plan.version != version() && !compatible) {
            throw std::runtime_error("Version tag does not match. Note: Current Version: " + std::to_string(version())
                + ", Serialized Engine Version: " + std::to_string(plan.version));
        }
        if (plan.isVersionCompatible && !hostCodeAllowed_) {
            throw std::runtime_error("Deserialization of a version compatible engine needs engine host code to be allowed");
        }
        Device const *const device = Device::get();
        if (!device) throw std::runtime_error("CUDA initialization failure with error: 100");
        bool fits = plan.computes.empty();
        for (auto const compute : plan.computes) {
            fits |= compute == device->compute();
            fits |= plan.isHardwareCompatible && compute >= 80 && device->compute() >= 80;
        }
        if (!fits) {
            throw std::runtime_error("The engine plan file is generated on an incompatible device, expecting compute "
                + dotted(device->compute()) + " got compute " + dotted(plan.computes[0]) + ", please rebuild");
        }
    }

    static std::string dotted(int32_t compute) { return std::to_string(compute / 10) + "." + std::to_string(compute % 10); }

    ILogger &logger_;
    bool hostCodeAllowed_ = false;
};

} // namespace
} // namespace doubles

extern "C" __attribute__((visibility("default"))) void *createInferRuntime_INTERNAL(void *logger, int32_t version) noexcept {
    using namespace doubles;
    calls::Call call("nvinfer1", "createInferRuntime_INTERNAL");
    call.argument("version", version);
    if (!logger) return nullptr;
    inspect(call, *static_cast<ILogger *>(logger));
    // What 11.4 was seen to answer where there is no driver: neither null nor an object.
    if (!Device::get()) return reinterpret_cast<void *>(uintptr_t{0x228});
    auto *const runtime = new Runtime(*static_cast<ILogger *>(logger));
    call.result(static_cast<void const *>(runtime));
    return static_cast<IRuntime *>(new Shell<IRuntime, Runtime>(runtime));
}
