// An engine of TensorRT's double: a plan on the device, and the session that computes for it.
#pragma once

#include <fstream>
#include <memory>

#include <sys/stat.h>

#include "device.h"
#include "onnxruntime.h"
#include "plan.h"

namespace doubles {

// What an engine and its contexts share.
struct Loaded {
    ILogger &logger;
    Plan plan;
    std::unique_ptr<OnnxRuntime::Session> session;
    // The weights' share of the device's memory.
    unsigned long long weights = 0;
    int contexts = 0;

    Loaded(ILogger &logger, Plan taken) : logger(logger), plan(std::move(taken)) { open(); }
    Loaded(Loaded const &) = delete;
    ~Loaded() {
        Device const *const device = Device::get();
        if (weights && device) device->release(weights);
    }

    // What a context takes on the device: the largest inputs and outputs of any profile. TensorRT's figure is another.
    uint64_t contextBytes() const {
        uint64_t most = 0;
        for (auto const &profile : plan.profiles) {
            uint64_t sum = 0;
            for (auto const &port : plan.ports) {
                if (!port.isInput) continue;
                uint64_t bytes = 4;
                for (auto const size : profile.at(port.name)[2]) bytes *= static_cast<uint64_t>(size);
                sum += bytes;
            }
            most = std::max(most, sum);
        }
        return most;
    }

private:
    // ONNX Runtime finds weights beside the file, so the files lie in a folder until they are read.
    void open() {
        char folder[] = "/tmp/double-of-tensorrt-XXXXXX";
        if (!mkdtemp(folder)) throw std::runtime_error("no temporary folder");
        std::string const root = std::string(folder) + "/";
        std::vector<std::string> written, folders;
        auto const put = [&](std::string const &name, std::string const &bytes) {
            for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
                folders.push_back(root + name.substr(0, slash));
                mkdir(folders.back().c_str(), 0700);
            }
            written.push_back(root + name);
            std::ofstream(written.back(), std::ios::binary) << bytes;
        };
        put("model.onnx", plan.onnx);
        for (auto const &[name, bytes] : plan.files) put(name, bytes);
        std::string problem;
        try {
            session = std::make_unique<OnnxRuntime::Session>(root + "model.onnx");
        } catch (std::runtime_error const &error) {
            problem = error.what();
        }
        for (auto const &path : written) unlink(path.c_str());
        for (auto path = folders.rbegin(); path != folders.rend(); ++path) rmdir(path->c_str());
        rmdir(folder);
        if (!problem.empty()) throw std::runtime_error(problem);
        Device const *const device = Device::get();
        if (!device) throw std::runtime_error("CUDA initialization failure with error: 100");
        uint64_t const bytes = plan.weightBytes();
        if (device->allocate(&weights, bytes)) {
            weights = 0;
            throw std::runtime_error("Requested amount of GPU memory (" + std::to_string(bytes)
                + " bytes) could not be allocated. There may not be enough free memory for allocation to succeed.");
        }
    }
};

} // namespace doubles
