// Streams, events and synchronisation.
#include <algorithm>
#include <chrono>

#include "emulation/runtime_api.hpp"
#include "tests/emulation/device.hpp"

using namespace emulation;

namespace {

CUstream_st& stream_of(Device& device, cudaStream_t stream) { return stream ? *stream : device.queue.null_stream(); }

cudaError_t synchronize(Device& device, cudaStream_t stream) {
    if (!device.queue.knows(stream)) return cudaErrorInvalidResourceHandle;
    CUstream_st& of = stream_of(device, stream);
    const cudaError_t status = device.refuse_capture(of);
    if (status != cudaSuccess) return status;
    device.run_until([&of] { return of.waiting.empty(); });
    return cudaSuccess;
}

/// The frontier of a captured event becomes part of the stream's, which joins the capture where it is not in it.
cudaError_t join(CUstream_st& stream, const CUevent_st& event) {
    if (!stream.capture) {
        stream.capture = event.capture;
        stream.frontier.clear();
    }
    if (stream.capture != event.capture) {
        stream.capture->invalid = event.capture->invalid = true;
        return cudaErrorStreamCaptureMerge;
    }
    for (const cudaGraphNode_t node : event.frontier)
        if (std::find(stream.frontier.begin(), stream.frontier.end(), node) == stream.frontier.end())
            stream.frontier.push_back(node);
    return cudaSuccess;
}

bool is_live(const Device& device, const std::shared_ptr<Capture>& capture) {
    return capture && std::find(device.captures.begin(), device.captures.end(), capture) != device.captures.end();
}

cudaError_t create(cudaStream_t* stream, bool blocking) {
    return call([&](Device& device) {
        *stream = device.queue.add(blocking);
        return cudaSuccess;
    });
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return create(stream, true); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    return create(stream, (flags & cudaStreamNonBlocking) == 0);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
    return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    return call([&](Device& device) {
        if (!stream || !device.queue.knows(stream)) return cudaErrorInvalidResourceHandle;
        if (stream->capture) stream->capture->invalid = true;
        device.run_all();
        if (stream->waiting.empty()) device.queue.remove(stream);  // else the device goes on with it
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return call([&](Device& device) { return synchronize(device, stream); });
}

cudaError_t cudaDeviceSynchronize() {
    return call([&](Device& device) {
        const cudaError_t status = device.refuse_capture();
        if (status == cudaSuccess) device.run_own();
        return status;
    });
}
cudaError_t cudaDeviceReset() { return cudaDeviceSynchronize(); }

// A query lets the device do one thing, so that polling comes to an end.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return call([&](Device& device) {
        if (!device.queue.knows(stream)) return cudaErrorInvalidResourceHandle;
        CUstream_st& of = stream_of(device, stream);
        const cudaError_t status = device.refuse_capture(of);
        if (status != cudaSuccess) return status;
        device.queue.step(device.dice);
        return of.waiting.empty() ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    return call([&](Device& device) {
        if (!device.queue.knows(stream) || !device.is_event(event)) return cudaErrorInvalidResourceHandle;
        CUstream_st& of = stream_of(device, stream);
        if (is_live(device, event->capture)) return stream ? join(of, *event) : cudaErrorStreamCaptureImplicit;
        if (event->capture) return cudaErrorCapturedEvent;
        if (!event->mark) return cudaSuccess;  // never recorded
        if (of.capture) {
            of.capture->invalid = true;
            return cudaErrorStreamCaptureIsolation;
        }
        device.queue.put(of, {nullptr, nullptr, event->mark, nullptr});
        if (!stream) device.run_until([&of] { return of.waiting.empty(); });
        return cudaSuccess;
    });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* argument) {
    return call([&](Device& device) { return device.submit(stream, "host function", [=] { function(argument); }); });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    return call([&](Device& device) {
        auto created = std::make_unique<CUevent_st>();
        created->timing = (flags & cudaEventDisableTiming) == 0;
        *event = created.get();
        device.events.insert(std::move(created));
        return cudaSuccess;
    });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return call([&](Device& device) {
        return std::erase_if(device.events, [event](const auto& e) { return e.get() == event; }) > 0
                   ? cudaSuccess
                   : cudaErrorInvalidResourceHandle;
    });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return call([&](Device& device) {
        if (!device.queue.knows(stream) || !device.is_event(event)) return cudaErrorInvalidResourceHandle;
        CUstream_st& of = stream_of(device, stream);
        if (stream && stream->device != event->device) return cudaErrorInvalidResourceHandle;
        if (of.capture) {
            if (of.capture->invalid) return cudaErrorStreamCaptureInvalidated;
            event->capture = of.capture;
            event->frontier = of.frontier;
            event->mark = nullptr;
            return cudaSuccess;
        }
        event->capture = nullptr;
        event->mark = std::make_shared<Mark>();
        device.queue.put(of, {nullptr, nullptr, nullptr, event->mark});
        if (!stream) device.run_until([&of] { return of.waiting.empty(); });
        return cudaSuccess;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return call([&](Device& device) {
        if (!device.is_event(event)) return cudaErrorInvalidResourceHandle;
        if (event->capture) return cudaErrorCapturedEvent;
        if (const auto mark = event->mark) device.run_until([&mark] { return mark->done; });
        return cudaSuccess;
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    return call([&](Device& device) {
        if (!device.is_event(event)) return cudaErrorInvalidResourceHandle;
        if (event->capture) return cudaErrorCapturedEvent;
        device.queue.step(device.dice);
        return !event->mark || event->mark->done ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    return call([&](Device& device) {
        if (!device.is_event(start) || !device.is_event(end) || !start->timing || !end->timing || !start->mark ||
            !end->mark)
            return cudaErrorInvalidResourceHandle;
        if (!start->mark->done || !end->mark->done) return cudaErrorNotReady;
        *milliseconds = std::chrono::duration<float, std::milli>(end->mark->time - start->mark->time).count();
        return cudaSuccess;
    });
}
