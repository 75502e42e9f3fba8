// How a function of CUDA's driver begins in the double of it.
#pragma once

#include "cuda_device.h"

using namespace cuda;

#define EXPORT extern "C" __attribute__((visibility("default"))) Result
// Notes the call, and returns early where the driver would.
#define CALL calls::Call call("cuda", __func__)
#define WITHIN_CONTEXT                                                                                       \
    CALL;                                                                                                    \
    if (Result const unready = ready()) return call.result(unready)
#define NOT_WHILE_CAPTURING                                                                                  \
    if (Result const forbidden = device().interrupt()) return call.result(forbidden)
#define STREAM(HANDLE)                                                                                       \
    auto const stream = device().stream(HANDLE);                                                             \
    call.argument("stream", (void const *)(HANDLE));                                                         \
    if (!stream) return call.result(INVALID_HANDLE)
