// What TensorRT's builder is told: optimization profiles, the configuration, the timing cache.
#pragma once

#include <set>

#include "device.h"
#include "network.h"
#include "plan.h"

namespace doubles {

struct OptimizationProfile final : MissingVOptimizationProfile {
    static constexpr char const *interface = "IOptimizationProfile";
    explicit OptimizationProfile(ILogger &logger) : logger(logger) {}

    ILogger &logger;
    Ranges ranges;

    bool setDimensions(char const *name, OptProfileSelector select, Dims const &dims) noexcept {
        calls::Call call("VOptimizationProfile", "setDimensions", this);
        call.argument("name", name).argument("select", static_cast<int32_t>(select));
        call.argument("dims", dims.d, dims.nbDims);
        auto const which = static_cast<size_t>(select);
        if (!name || which > 2 || dims.nbDims < 0 || dims.nbDims > Dims::MAX_DIMS) return call.result(false);
        std::vector<int64_t> const sizes(dims.d, dims.d + dims.nbDims);
        auto const before = ranges.find(name);
        for (auto const &other : before == ranges.end() ? Range{} : before->second) {
            if (!other.empty() && other.size() != sizes.size()) return call.result(false);
        }
        for (auto const size : sizes) {
            if (size < 0) return call.result(false);
        }
        ranges[name][which] = sizes;
        return call.result(true);
    }

    // Each input with all three, and those in order.
    bool isValid() const noexcept {
        for (auto const &[name, range] : ranges) {
            auto const &[min, opt, max] = range;
            if (min.size() != opt.size() || opt.size() != max.size()) return false;
            for (size_t i = 0; i < min.size(); ++i) {
                if (min[i] > opt[i] || opt[i] > max[i]) return false;
            }
        }
        return true;
    }
};

// Of the double it holds only where it was made, and how many engines it has seen.
struct TimingCache final : MissingVTimingCache {
    static constexpr char const *interface = "ITimingCache";
    int32_t version = doubles::version();
    int32_t compute = 0;
    uint32_t entries = 0;

    IHostMemory *serialize() const noexcept {
        calls::Call("VTimingCache", "serialize", this).argument("entries", entries);
        Writer writer;
        writer.bytes = "TRTDTIME";
        writer.field(version);
        writer.field(compute);
        writer.field(entries);
        return HostMemory::make(std::move(writer.bytes));
    }

    // False where the bytes are none of its own.
    bool read(std::string_view bytes) {
        if (bytes.empty()) return true;
        if (bytes.size() != 20 || bytes.substr(0, 8) != "TRTDTIME") return false;
        Reader reader(bytes.substr(8));
        reader.field(version);
        reader.field(compute);
        reader.field(entries);
        return true;
    }
};

struct BuilderConfig final : MissingVBuilderConfig {
    static constexpr char const *interface = "IBuilderConfig";
    explicit BuilderConfig(ILogger &logger) : logger(logger) {}

    ILogger &logger;
    std::vector<Ranges> profiles;
    uint32_t flags = 1U << static_cast<int>(BuilderFlag::kTF32);
    std::map<MemoryPoolType, uint64_t> pools;
    int32_t level = 3;
    HardwareCompatibilityLevel compatibility = HardwareCompatibilityLevel::kNONE;
    ProfilingVerbosity verbosity = ProfilingVerbosity::kLAYER_NAMES_ONLY;
    IProgressMonitor *monitor = nullptr;
    ITimingCache const *cache = nullptr;
    // Of TensorRT for RTX: 1 stands for the GPU of this machine.
    std::vector<int32_t> computes;

    int32_t addOptimizationProfile(IOptimizationProfile const *profile) noexcept {
        calls::Call call("VBuilderConfig", "addOptimizationProfile", this);
        auto const &added = behind<OptimizationProfile>(*profile);
        call.argument("profile", static_cast<void const *>(&added));
        if (!added.isValid()) return call.result(-1);
        profiles.push_back(added.ranges);
        return call.result(static_cast<int32_t>(profiles.size()) - 1);
    }
    int32_t getNbOptimizationProfiles() const noexcept { return static_cast<int32_t>(profiles.size()); }

    void setFlag(BuilderFlag flag) noexcept {
        calls::Call("VBuilderConfig", "setFlag", this).argument("flag", static_cast<int32_t>(flag));
        flags |= bit(flag);
    }
    void clearFlag(BuilderFlag flag) noexcept {
        calls::Call("VBuilderConfig", "clearFlag", this).argument("flag", static_cast<int32_t>(flag));
        flags &= ~bit(flag);
    }
    bool getFlag(BuilderFlag flag) const noexcept { return flags & bit(flag); }
    void setFlags(BuilderFlags wanted) noexcept {
        calls::Call("VBuilderConfig", "setFlags", this).argument("flags", wanted);
        flags = wanted;
    }
    BuilderFlags getFlags() const noexcept { return flags; }

    void setMemoryPoolLimit(MemoryPoolType pool, std::size_t size) noexcept {
        calls::Call("VBuilderConfig", "setMemoryPoolLimit", this)
            .argument("pool", static_cast<int32_t>(pool))
            .argument("size", size);
        Device const *const device = Device::get();
        // As the headers say: a limit above what is possible changes nothing and is an error.
        bool const tooLarge = pool == MemoryPoolType::kTACTIC_SHARED_MEMORY ? size >= 1U << 30 : device && size > device->memory();
        if (tooLarge) {
            report(logger, Severity::kERROR, "IBuilderConfig::setMemoryPoolLimit: %zu bytes for pool %d are more than the device has",
                size, static_cast<int32_t>(pool));
            return;
        }
        pools[pool] = size;
    }
    std::size_t getMemoryPoolLimit(MemoryPoolType pool) const noexcept {
        auto const found = pools.find(pool);
        Device const *const device = Device::get();
        std::size_t const limit = found != pools.end() ? found->second : device ? device->memory() : 0;
        return calls::Call("VBuilderConfig", "getMemoryPoolLimit", this).argument("pool", static_cast<int32_t>(pool)).result(limit);
    }

    void setBuilderOptimizationLevel(int32_t wanted) noexcept {
        calls::Call("VBuilderConfig", "setBuilderOptimizationLevel", this).argument("level", wanted);
        level = wanted;
    }
    int32_t getBuilderOptimizationLevel() const noexcept { return level; }

    void setHardwareCompatibilityLevel(HardwareCompatibilityLevel wanted) noexcept {
        calls::Call("VBuilderConfig", "setHardwareCompatibilityLevel", this).argument("level", static_cast<int32_t>(wanted));
        compatibility = wanted;
    }
    HardwareCompatibilityLevel getHardwareCompatibilityLevel() const noexcept { return compatibility; }

    void setProfilingVerbosity(ProfilingVerbosity wanted) noexcept {
        calls::Call("VBuilderConfig", "setProfilingVerbosity", this).argument("verbosity", static_cast<int32_t>(wanted));
        verbosity = wanted;
    }
    ProfilingVerbosity getProfilingVerbosity() const noexcept { return verbosity; }

    void setProgressMonitor(IProgressMonitor *wanted) noexcept {
        calls::Call call("VBuilderConfig", "setProgressMonitor", this);
        call.argument("monitor", static_cast<void const *>(wanted));
        if (wanted) inspect(call, *wanted);
        monitor = wanted;
    }
    IProgressMonitor *getProgressMonitor() const noexcept { return monitor; }

    ITimingCache *createTimingCache(void const *blob, std::size_t size) const noexcept {
        calls::Call("VBuilderConfig", "createTimingCache", this).argument("size", size);
        auto made = std::make_unique<TimingCache>();
        if (Device const *const device = Device::get()) made->compute = device->compute();
        if (!made->read({static_cast<char const *>(blob), size})) {
            report(logger, Severity::kERROR, "IBuilderConfig::createTimingCache: the bytes are no timing cache");
            return nullptr;
        }
        return new Shell<ITimingCache, TimingCache>(made.release());
    }
    bool setTimingCache(ITimingCache const &wanted, bool ignoreMismatch) noexcept {
        calls::Call call("VBuilderConfig", "setTimingCache", this);
        call.argument("ignoreMismatch", ignoreMismatch);
        auto const &given = behind<TimingCache>(wanted);
        Device const *const device = Device::get();
        bool const fits = given.version == version() && (!device || given.compute == device->compute());
        if (!fits && !ignoreMismatch) {
            report(logger, Severity::kWARNING, "the timing cache was made by another TensorRT or on another GPU");
            return call.result(false);
        }
        cache = &wanted;
        return call.result(true);
    }
    ITimingCache const *getTimingCache() const noexcept {
        calls::Call("VBuilderConfig", "getTimingCache", this);
        return cache;
    }

#ifdef TRT_MAJOR_RTX
    bool setNbComputeCapabilities(int32_t count) noexcept {
        calls::Call call("VBuilderConfig", "setNbComputeCapabilities", this);
        call.argument("count", count);
        if (count < 0) return call.result(false);
        computes.assign(static_cast<size_t>(count), 0);
        return call.result(true);
    }
    int32_t getNbComputeCapabilities() const noexcept { return static_cast<int32_t>(computes.size()); }
    bool setComputeCapability(ComputeCapability compute, int32_t index) noexcept {
        calls::Call call("VBuilderConfig", "setComputeCapability", this);
        call.argument("compute", static_cast<int32_t>(compute)).argument("index", index);
        // Those that TensorRT for RTX was seen to refuse are no values of its enumeration.
        static std::set<int32_t> const known{1, 75, 80, 86, 89, 120, 121};
        if (index < 0 || static_cast<size_t>(index) >= computes.size() || !known.count(static_cast<int32_t>(compute))) {
            report(logger, Severity::kERROR, "IBuilderConfig::setComputeCapability: %d is not supported", static_cast<int32_t>(compute));
            return call.result(false);
        }
        computes[static_cast<size_t>(index)] = static_cast<int32_t>(compute);
        return call.result(true);
    }
#endif

private:
    static uint32_t bit(BuilderFlag flag) { return 1U << static_cast<int>(flag); }
};

} // namespace doubles
