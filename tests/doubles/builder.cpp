// The builder of TensorRT's double: checks what it is told as TensorRT does, and writes a plan that holds the ONNX file.
// DOUBLE_TENSORRT_STEP_MS makes each step of a build take as long.
#include <chrono>
#include <thread>

#include "builder_config.h"

char const *const calls::variable = "DOUBLE_TENSORRT_LOG";

namespace doubles {
namespace {

// Tells a progress monitor of steps, where there is one.
class Phase {
public:
    Phase(IProgressMonitor *monitor, char const *name, char const *parent, int32_t steps) : monitor_(monitor), name_(name) {
        if (monitor_) monitor_->phaseStart(name, parent, steps);
    }
    ~Phase() {
        if (monitor_) monitor_->phaseFinish(name_);
    }
    // False where the build is to end.
    bool step() {
        std::this_thread::sleep_for(std::chrono::milliseconds(setting("DOUBLE_TENSORRT_STEP_MS", 0)));
        return !monitor_ || monitor_->stepComplete(name_, next_++);
    }

private:
    IProgressMonitor *monitor_;
    char const *name_;
    int32_t next_ = 0;
};

struct Builder final : MissingVBuilder {
    static constexpr char const *interface = "IBuilder";
    explicit Builder(ILogger &logger) : logger_(logger) {}

    int32_t getNbDLACores() const noexcept { return calls::Call("VBuilder", "getNbDLACores", this).result(0); }
    ILogger *getLogger() const noexcept { return &logger_; }

    bool setMaxThreads(int32_t threads) noexcept {
        return calls::Call("VBuilder", "setMaxThreads", this).argument("threads", threads).result(threads > 0);
    }

    IBuilderConfig *createBuilderConfig() noexcept {
        auto *const config = new BuilderConfig(logger_);
        calls::Call("VBuilder", "createBuilderConfig", this).result(static_cast<void const *>(config));
        return new Shell<IBuilderConfig, BuilderConfig>(config);
    }

    INetworkDefinition *createNetworkV2(NetworkDefinitionCreationFlags flags) noexcept {
        auto *const network = new Network(logger_, flags);
        calls::Call("VBuilder", "createNetworkV2", this).argument("flags", flags).result(static_cast<void const *>(network));
        return new Shell<INetworkDefinition, Network>(network);
    }

    IOptimizationProfile *createOptimizationProfile() noexcept {
        auto *const profile = new OptimizationProfile(logger_);
        calls::Call("VBuilder", "createOptimizationProfile", this).result(static_cast<void const *>(profile));
        // The builder's own: no client deletes them.
        profiles_.push_back(std::make_unique<Shell<IOptimizationProfile, OptimizationProfile>>(profile));
        return profiles_.back().get();
    }

    IHostMemory *buildSerializedNetwork(INetworkDefinition &network, IBuilderConfig &config) noexcept {
        calls::Call call("VBuilder", "buildSerializedNetwork", this);
        auto const &definition = behind<Network>(network);
        auto &settings = behind<BuilderConfig>(config);
        call.argument("network", static_cast<void const *>(&definition));
        call.argument("config", static_cast<void const *>(&settings));
        Plan plan;
        if (!describe(definition, settings, plan) || !work(definition, settings)) return nullptr;
        auto const disabled = settings.getFlag(BuilderFlag::kDISABLE_TIMING_CACHE);
        if (settings.cache && !disabled) ++behind<TimingCache>(*settings.cache).entries;
        std::string bytes = write(plan);
        report(logger_, Severity::kINFO, "Engine generation completed, %zu bytes", bytes.size());
        call.result(bytes.size());
        return HostMemory::make(std::move(bytes));
    }

private:
    bool fail(std::string const &problem) {
        report(logger_, Severity::kERROR, "IBuilder::buildSerializedNetwork: %s", problem.c_str());
        return false;
    }

    bool describe(Network const &network, BuilderConfig const &config, Plan &plan) {
        if (failsAt("build")) return fail("DOUBLE_TENSORRT_FAIL asked for this");
        if (network.outputs.empty()) return fail("Network must have at least one output");
        Device const *const device = Device::get();
        plan.computes = config.computes;
        for (auto &compute : plan.computes) {
            if (compute == 1 && !device) return fail("CUDA error 100: no CUDA-capable device is detected");
            if (compute == 1) compute = device->compute();
            if (compute == 0) return fail("a compute capability was counted and not set");
        }
        if (!isRtx) plan.computes = {device->compute()};
        plan.isHardwareCompatible = config.compatibility != HardwareCompatibilityLevel::kNONE;
        plan.isVersionCompatible = config.getFlag(BuilderFlag::kVERSION_COMPATIBLE);
        plan.streamsWeights = config.getFlag(BuilderFlag::kWEIGHT_STREAMING);
        if (isRtx && plan.isVersionCompatible) return fail("Unable to load library: libnvinfer_lean");
        plan.flags = config.flags;
        plan.layers = network.layers;
        plan.onnx = network.onnx;
        plan.files = network.files;
        for (auto const *tensors : {&network.inputs, &network.outputs}) {
            for (auto const &shell : *tensors) {
                auto const &tensor = shell->implementation();
                plan.ports.push_back({tensor.name, static_cast<int32_t>(tensor.dataType), tensor.isInput, tensor.dims, tensor.symbols});
            }
        }
        plan.profiles = config.profiles;
        return checkProfiles(plan);
    }

    bool checkProfiles(Plan &plan) {
        bool isDynamic = false;
        for (auto const &port : plan.ports) {
            for (auto const size : port.dims) isDynamic |= port.isInput && size < 0;
        }
        if (isDynamic && plan.profiles.empty()) {
            return fail("Network has dynamic or shape inputs, but no optimization profile has been defined");
        }
        if (plan.profiles.empty()) plan.profiles.emplace_back();
        for (auto &profile : plan.profiles) {
            for (auto const &port : plan.ports) {
                if (!port.isInput) continue;
                auto const found = profile.find(port.name);
                if (found == profile.end()) {
                    for (auto const size : port.dims) {
                        if (size < 0) return fail("the optimization profile has no dimensions of input " + port.name);
                    }
                    profile[port.name] = {port.dims, port.dims, port.dims};
                    continue;
                }
                for (auto const &sizes : found->second) {
                    if (sizes.size() != port.dims.size()) {
                        return fail("the optimization profile has " + std::to_string(sizes.size()) + " dimensions for input "
                            + port.name + ", the network " + std::to_string(port.dims.size()));
                    }
                    for (size_t i = 0; i < sizes.size(); ++i) {
                        if (port.dims[i] >= 0 && sizes[i] != port.dims[i]) {
                            return fail("Static dimension " + std::to_string(i) + " of input " + port.name
                                + " in the optimization profile differs from the network's");
                        }
                    }
                }
            }
            for (auto const &[name, range] : profile) {
                Port const *const port = plan.port(name.c_str());
                if (!port || !port->isInput) return fail("the optimization profile names " + name + ", which is no input");
            }
        }
        return true;
    }

    bool work(Network const &network, BuilderConfig const &config) {
        char const *const outer = "Building Engine", *const inner = "Tactic Selection";
        Phase build(config.monitor, outer, nullptr, 2);
        bool goesOn = true;
        {
            Phase tactics(config.monitor, inner, outer, network.layers);
            for (int32_t i = 0; goesOn && i < network.layers; ++i) goesOn = tactics.step();
        }
        goesOn = goesOn && build.step() && build.step();
        return goesOn || fail("the build was cancelled by the progress monitor");
    }

    ILogger &logger_;
    std::vector<std::unique_ptr<Shell<IOptimizationProfile, OptimizationProfile>>> profiles_;
};

} // namespace
} // namespace doubles

extern "C" __attribute__((visibility("default"))) int32_t getInferLibVersion() noexcept { return doubles::version(); }

extern "C" __attribute__((visibility("default"))) void *createInferBuilder_INTERNAL(void *logger, int32_t version) noexcept {
    using namespace doubles;
    calls::Call call("nvinfer1", "createInferBuilder_INTERNAL");
    call.argument("version", version);
    if (!logger) return nullptr;
    inspect(call, *static_cast<ILogger *>(logger));
    // TensorRT for RTX builds ahead of time, without a GPU.
    if (!isRtx && !Device::get()) {
        report(*static_cast<ILogger *>(logger), Severity::kERROR, "createInferBuilder: CUDA initialization failure with error: 100");
        return nullptr;
    }
    auto *const builder = new Builder(*static_cast<ILogger *>(logger));
    call.result(static_cast<void const *>(builder));
    return static_cast<IBuilder *>(new Shell<IBuilder, Builder>(builder));
}
