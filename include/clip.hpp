// clip.hpp: clip.h for C++17 and later, in this header alone. Handles free themselves, arrays are spans, and errors are exceptions:
//
//     const clip::model model = clip::model::open("emoji");
//     const clip::labels labels = clip::labels::encode(model, {"cat", "dog", "bicycle"}, {"a photo of a {}."});
//     const clip::image image = clip::image::open(model, "photo.jpg");
//     for (const clip::match &found : model.classify(image, labels, 3))
//         std::printf("%s, %.1f %%\n", labels.name(found.index), 100.0 * double(found.probability));
//
// With CLIP_NO_EXCEPTIONS defined, or where the compiler has none, nothing is thrown: what would give a T gives a clip::result<T>, which holds
// a T or a clip::error, as std::expected does.
//
// What each function does, which errors there are, and what threads may do is written in clip.h; names here are those there. Strings end
// at their first zero.

#ifndef CLIP_HPP
#define CLIP_HPP

#include <cassert>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if __cplusplus >= 202002L
#include <span>
#endif

#if !defined(CLIP_NO_EXCEPTIONS) && !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#define CLIP_NO_EXCEPTIONS
#endif

#include "clip.h"

namespace clip {

// ---- Spans ---------------------------------------------------------------------------------------------------------------

#if __cplusplus >= 202002L
template <class T> using span = std::span<T>;
#else
/// A view of an array, what clip.hpp needs of std::span.
template <class T> class span {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    /// Anything with data() and size(): std::vector, std::array, another span.
    template <class C, class = std::enable_if_t<
                           std::is_convertible_v<std::remove_pointer_t<decltype(std::declval<C &>().data())> (*)[], T (*)[]>
                           && std::is_convertible_v<decltype(std::declval<C &>().size()), std::size_t>>>
    constexpr span(C &&container) noexcept : data_(container.data()), size_(container.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

// ---- Errors --------------------------------------------------------------------------------------------------------------

/// Why a call failed: its status, and in what() clip_last_error().
class error : public std::runtime_error {
public:
    error(clip_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    /// One of the CLIP_ERROR_* codes.
    clip_status status() const noexcept { return status_; }
    /// Its name, such as "CLIP_ERROR_FILE".
    const char *name() const noexcept { return clip_status_name(status_); }

private:
    clip_status status_;
};

#ifdef CLIP_NO_EXCEPTIONS

/// What a call gave, or why it failed. Look whether there is a value before you take it.
template <class T> class [[nodiscard]] result {
public:
    using value_type = T;

    result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    result(clip::error error) : content_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    T &operator*() & noexcept { return *get(content_); }
    const T &operator*() const & noexcept { return *get(content_); }
    T &&operator*() && noexcept { return std::move(*get(content_)); }
    T *operator->() noexcept { return get(content_); }
    const T *operator->() const noexcept { return get(content_); }
    template <class U> T value_or(U &&otherwise) && {
        return has_value() ? std::move(*get(content_)) : static_cast<T>(std::forward<U>(otherwise));
    }

    const clip::error &error() const noexcept {
        assert(!has_value());
        return *std::get_if<1>(&content_);
    }

private:
    template <class V> static auto get(V &content) noexcept {
        assert(content.index() == 0);
        return std::get_if<0>(&content);
    }

    std::variant<T, clip::error> content_;
};

/// The same of a call that gives nothing.
template <> class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result() noexcept = default;
    result(clip::error error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }

    const clip::error &error() const noexcept {
        assert(!has_value());
        return *error_;
    }

private:
    std::optional<clip::error> error_;
};

/// What functions here return that can fail.
template <class T> using returns = result<T>;

#else

/// What functions here return that can fail: a T; they throw clip::error.
template <class T> using returns = T;

#endif

/// How well one label fits an image.
using match = clip_match;

namespace detail {

/// What `value()` makes, unless the call failed.
template <class F> auto give(clip_status status, F &&value) -> returns<decltype(value())> {
    if (status != CLIP_OK) {
#ifdef CLIP_NO_EXCEPTIONS
        return error(status, clip_last_error());
#else
        throw error(status, clip_last_error());
#endif
    }
    return value();
}

inline returns<void> check(clip_status status) {
    if (status != CLIP_OK) {
#ifdef CLIP_NO_EXCEPTIONS
        return error(status, clip_last_error());
#else
        throw error(status, clip_last_error());
#endif
    }
    return returns<void>();
}

/// Frees a handle.
template <class T, void (*free)(T *)> struct freeing {
    void operator()(T *handle) const noexcept { free(handle); }
};

template <class T, void (*free)(T *)> using handle = std::unique_ptr<T, freeing<T, free>>;

/// The strings as C takes them, which live as long as `texts`.
inline std::vector<const char *> pointers(const std::vector<std::string> &texts) {
    std::vector<const char *> all;
    all.reserve(texts.size());
    for (const std::string &text : texts)
        all.push_back(text.c_str());
    return all;
}

/// The handles of objects that stand one behind the other.
template <class C, class T> std::vector<const C *> pointers(span<const T> objects) {
    std::vector<const C *> all;
    all.reserve(objects.size());
    for (const T &object : objects)
        all.push_back(object.get());
    return all;
}

/// Where the structs are that stand one behind the other.
template <class C, class T> std::vector<const C *> addresses(span<const T> objects) {
    std::vector<const C *> all;
    all.reserve(objects.size());
    for (const T &object : objects)
        all.push_back(&object);
    return all;
}

/// "" where there is none.
inline std::string text(const char *found) { return found == nullptr ? std::string() : std::string(found); }

/// NaN stands for a number that is not there.
inline std::optional<float> number(float found) {
    return std::isnan(found) ? std::nullopt : std::optional<float>(found);
}

/// As C takes them: none of a time that has passed, and as many as there can be of a longer one.
inline std::uint32_t milliseconds(std::chrono::milliseconds time) {
    constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
    if (time.count() <= 0) return 0;
    return time.count() < static_cast<std::int64_t>(most) ? static_cast<std::uint32_t>(time.count()) : most;
}

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

/// Room for `n` rows of matches; with none in a row, for one, so that the library says what is wrong.
inline std::vector<match> room(std::size_t n, std::size_t top) { return std::vector<match>(n * (top == 0 ? 1 : top)); }

} // namespace detail

// ---- Version -------------------------------------------------------------------------------------------------------------

/// CLIP_VERSION_NUMBER of the library that is running.
inline std::int32_t version_number() noexcept { return clip_version_number(); }
/// Its version as text.
inline const char *version() noexcept { return clip_version(); }

// ---- What is passed by value ---------------------------------------------------------------------------------------------

/// How to open a model folder: clip_open_options, whose fields are set one by one.
struct open_options : clip_open_options {
    open_options() noexcept : clip_open_options CLIP_OPEN_OPTIONS_INIT {}
};

/// When an image shows none of the labels: clip_rule.
struct rule : clip_rule {
    rule() noexcept : clip_rule CLIP_RULE_INIT {}
};

/// A frame of a camera: clip_frame, whose planes and other fields are set one by one.
struct frame : clip_frame {
    frame(std::int32_t format_, std::size_t width_, std::size_t height_) noexcept : clip_frame CLIP_FRAME_INIT {
        format = format_;
        width = width_;
        height = height_;
    }
};

class image;
class labels;

// ---- Model ---------------------------------------------------------------------------------------------------------------

/// An open model folder.
class model {
public:
    static returns<model> open(const std::string &path, const open_options &options = open_options()) {
        clip_model *out = nullptr;
        const clip_status status = clip_model_open(path.c_str(), &options, &out);
        return detail::give(status, [&] { return model(out); });
    }

    /// Takes over a handle of clip.h.
    explicit model(clip_model *handle) noexcept : handle_(handle) {}
    /// The handle, for calls of clip.h; it stays this object's.
    const clip_model *get() const noexcept { return handle_.get(); }

    std::string name() const { return detail::text(clip_model_name(get())); }
    std::string engine() const { return detail::text(clip_model_engine(get())); }
    std::string engine_version() const { return detail::text(clip_model_engine_version(get())); }
    std::string device() const { return detail::text(clip_model_device(get())); }
    std::string text_engine() const { return detail::text(clip_model_text_engine(get())); }
    std::string image_precision() const { return detail::text(clip_model_image_precision(get())); }
    std::string text_precision() const { return detail::text(clip_model_text_precision(get())); }
    std::size_t unverified() const noexcept { return clip_model_unverified(get()); }
    std::size_t embed_dim() const noexcept { return clip_model_embed_dim(get()); }
    std::size_t image_size() const noexcept { return clip_model_image_size(get()); }
    std::size_t context_length() const noexcept { return clip_model_context_length(get()); }
    float logit_scale() const noexcept { return clip_model_logit_scale(get()); }
    /// None but for SigLIP.
    std::optional<float> logit_bias() const noexcept { return detail::number(clip_model_logit_bias(get())); }

    /// The `top` labels that fit the image best, best first.
    returns<std::vector<match>> classify(const image &image, const labels &labels, std::size_t top) const;
    /// The same into a buffer, without allocating here: the number of matches.
    returns<std::size_t> classify(const image &image, const labels &labels, span<match> matches) const;
    /// The same for several images in one go.
    returns<std::vector<std::vector<match>>> classify(span<const image> images, const labels &labels, std::size_t top) const;
    /// The same for embeddings of images that were computed before, one row behind the other.
    returns<std::vector<std::vector<match>>> classify_embeddings(span<const float> embeddings, const labels &labels,
                                                                 std::size_t top) const;

    /// The same for frames of cameras.
    returns<std::vector<match>> classify(const frame &frame, const labels &labels, std::size_t top) const;
    returns<std::size_t> classify(const frame &frame, const labels &labels, span<match> matches) const;
    returns<std::vector<std::vector<match>>> classify(span<const frame> frames, const labels &labels, std::size_t top) const;

    /// One row of embed_dim() floats for each image.
    returns<std::vector<float>> embed(span<const image> images) const;
    /// The same for frames of cameras.
    returns<std::vector<float>> embed(span<const frame> frames) const;
    /// One row of embed_dim() floats for each text.
    returns<std::vector<float>> embed_texts(const std::vector<std::string> &texts) const {
        std::vector<float> rows(texts.size() * embed_dim());
        const std::vector<const char *> pointers = detail::pointers(texts);
        const clip_status status = clip_embed_texts(get(), pointers.data(), pointers.size(), rows.data(), rows.size());
        return detail::give(status, [&] { return std::move(rows); });
    }

private:
    detail::handle<clip_model, clip_model_free> handle_;
};

// ---- Images --------------------------------------------------------------------------------------------------------------

/// A decoded image.
class image {
public:
    static returns<image> open(const model &model, const std::string &path) {
        clip_image *out = nullptr;
        const clip_status status = clip_image_open(model.get(), path.c_str(), &out);
        return detail::give(status, [&] { return image(out); });
    }

    /// An image file in memory.
    static returns<image> decode(const model &model, span<const std::uint8_t> data) {
        clip_image *out = nullptr;
        const clip_status status = clip_image_decode(model.get(), data.data(), data.size(), &out);
        return detail::give(status, [&] { return image(out); });
    }

    /// A copy of pixels of three bytes each, whose rows begin `stride` bytes after each other.
    static returns<image> from_rgb(span<const std::uint8_t> pixels, std::size_t width, std::size_t height, std::size_t stride) {
        clip_image *out = nullptr;
        const clip_status status = clip_image_from_rgb(pixels.data(), pixels.size(), width, height, stride, &out);
        return detail::give(status, [&] { return image(out); });
    }

    /// Takes over a handle of clip.h.
    explicit image(clip_image *handle) noexcept : handle_(handle) {}
    /// The handle, for calls of clip.h; it stays this object's.
    const clip_image *get() const noexcept { return handle_.get(); }

    /// Its pixels as a frame, for a stream for example, valid as long as the image.
    returns<clip::frame> frame() const {
        clip::frame frame(CLIP_FORMAT_RGB, 0, 0);
        const clip_status status = clip_image_frame(get(), &frame);
        return detail::give(status, [&] { return frame; });
    }

private:
    detail::handle<clip_image, clip_image_free> handle_;
};

// ---- Labels --------------------------------------------------------------------------------------------------------------

/// Labels, encoded once. A copy is another owner of the same labels: to replace labels that other threads use, let each of them
/// copy the current object, under a lock, before it classifies.
class labels {
public:
    static returns<labels> encode(const model &model, const std::vector<std::string> &names,
                                  const std::vector<std::string> &templates = std::vector<std::string>()) {
        const std::vector<const char *> n = detail::pointers(names), t = detail::pointers(templates);
        clip_labels *out = nullptr;
        return made(clip_labels_new(model.get(), n.data(), n.size(), t.data(), t.size(), &out), out);
    }

    /// Those of the model folder.
    static returns<labels> stored(const model &model) {
        clip_labels *out = nullptr;
        return made(clip_labels_stored(model.get(), &out), out);
    }

    /// Those of a file.
    static returns<labels> load(const model &model, const std::string &path) {
        clip_labels *out = nullptr;
        return made(clip_labels_load(model.get(), path.c_str(), &out), out);
    }

    /// One row of model.embed_dim() floats for each name.
    static returns<labels> from_embeddings(const model &model, const std::vector<std::string> &names, span<const float> embeddings) {
        const std::vector<const char *> n = detail::pointers(names);
        clip_labels *out = nullptr;
        return made(clip_labels_from_embeddings(model.get(), n.data(), n.size(), embeddings.data(), embeddings.size(), &out), out);
    }

    /// names[i] is what images[i] shows; images with the same name are averaged.
    static returns<labels> from_images(const model &model, const std::vector<std::string> &names, span<const image> images) {
        std::vector<const char *> n = detail::pointers(names);
        std::vector<const clip_image *> i = detail::pointers<clip_image>(images);
        // What one list has less is NULL, which the library refuses with its place.
        n.resize(n.size() < i.size() ? i.size() : n.size(), nullptr);
        i.resize(n.size(), nullptr);
        clip_labels *out = nullptr;
        return made(clip_labels_from_images(model.get(), n.data(), i.data(), n.size(), &out), out);
    }

    /// Takes over a handle of clip.h.
    explicit labels(clip_labels *handle) noexcept : handle_(handle) {}
    labels(const labels &other) noexcept : handle_(clip_labels_retain(other.handle_.get())) {}
    labels(labels &&other) noexcept = default;
    labels &operator=(labels other) noexcept {
        handle_ = std::move(other.handle_);
        return *this;
    }
    ~labels() = default;
    /// The handle, for calls of clip.h; it stays this object's.
    const clip_labels *get() const noexcept { return handle_.get(); }

    std::size_t size() const noexcept { return clip_labels_count(get()); }
    /// The label at `index`, nullptr when there is none. It lives as long as any owner of the labels.
    const char *name(std::size_t index) const noexcept { return clip_labels_name(get(), index); }
    /// How many of them, the last ones, are background.
    std::size_t background() const noexcept { return clip_labels_background(get()); }
    /// What probabilities are made with in place of the model's numbers, if anything.
    std::optional<float> logit_scale() const noexcept {
        const float scale = clip_labels_logit_scale(get());
        return scale > 0 ? std::optional<float>(scale) : std::nullopt;
    }
    std::optional<float> logit_bias() const noexcept { return detail::number(clip_labels_logit_bias(get())); }

    /// One row for each label.
    returns<std::vector<float>> embeddings(const model &model) const {
        std::vector<float> rows(size() * model.embed_dim());
        const clip_status status = clip_labels_embeddings(get(), rows.data(), rows.size());
        return detail::give(status, [&] { return std::move(rows); });
    }

    returns<void> save(const std::string &path) const { return detail::check(clip_labels_save(get(), path.c_str())); }

    returns<labels> with_logits(float scale, std::optional<float> bias = std::nullopt) const {
        clip_labels *out = nullptr;
        return made(clip_labels_with_logits(get(), scale, bias ? *bias : NAN, &out), out);
    }

    returns<labels> with_background(const labels &background) const {
        clip_labels *out = nullptr;
        return made(clip_labels_with_background(get(), background.get(), &out), out);
    }

    /// The index of the label that an image with these matches shows, or none.
    returns<std::optional<std::size_t>> decide(span<const match> matches, const clip::rule &rule = clip::rule()) const {
        std::size_t index = CLIP_NONE;
        const clip_status status = clip_decide(get(), matches.data(), matches.size(), &rule, &index);
        return detail::give(status, [&] {
            return index == CLIP_NONE ? std::nullopt : std::optional<std::size_t>(index);
        });
    }

private:
    /// `out` by reference, since it is filled by the call that gives the status: arguments are evaluated in any order.
    static returns<labels> made(clip_status status, clip_labels *const &out) {
        return detail::give(status, [&] { return labels(out); });
    }

    detail::handle<clip_labels, clip_labels_free> handle_;
};

// ---- Classify and embed --------------------------------------------------------------------------------------------------

namespace detail {

/// Matches in rows of `top`, of which `count` are filled.
inline std::vector<std::vector<match>> rows(const std::vector<match> &flat, std::size_t n, std::size_t top, std::size_t count) {
    std::vector<std::vector<match>> all;
    all.reserve(n);
    for (std::size_t i = 0; i < n; i++)
        all.emplace_back(flat.data() + i * top, flat.data() + i * top + count);
    return all;
}

} // namespace detail

inline returns<std::vector<match>> model::classify(const image &image, const labels &labels, std::size_t top) const {
    std::vector<match> matches(detail::smaller(top, labels.size()));
    std::size_t count = 0;
    const clip_status status = clip_classify(get(), image.get(), labels.get(), matches.data(), matches.size(), &count);
    return detail::give(status, [&] {
        matches.resize(count);
        return std::move(matches);
    });
}

inline returns<std::size_t> model::classify(const image &image, const labels &labels, span<match> matches) const {
    std::size_t count = 0;
    const clip_status status = clip_classify(get(), image.get(), labels.get(), matches.data(), matches.size(), &count);
    return detail::give(status, [&] { return count; });
}

inline returns<std::vector<std::vector<match>>> model::classify(span<const image> images, const labels &labels,
                                                                std::size_t top) const {
    const std::vector<const clip_image *> pointers = detail::pointers<clip_image>(images);
    const std::size_t n = images.size(), width = detail::smaller(top, labels.size());
    std::vector<match> flat = detail::room(n, width);
    std::size_t count = 0;
    const clip_status status =
        clip_classify_images(get(), pointers.data(), n, labels.get(), width, flat.data(), flat.size(), &count);
    return detail::give(status, [&] { return detail::rows(flat, n, width, count); });
}

inline returns<std::vector<std::vector<match>>> model::classify_embeddings(span<const float> embeddings, const labels &labels,
                                                                           std::size_t top) const {
    const std::size_t dim = embed_dim(), n = dim == 0 ? 0 : embeddings.size() / dim;
    const std::size_t width = detail::smaller(top, labels.size());
    std::vector<match> flat = detail::room(n, width);
    std::size_t count = 0;
    const clip_status status = clip_classify_embeddings(get(), embeddings.data(), embeddings.size(), n, labels.get(), width,
                                                        flat.data(), flat.size(), &count);
    return detail::give(status, [&] { return detail::rows(flat, n, width, count); });
}

inline returns<std::vector<float>> model::embed(span<const image> images) const {
    std::vector<float> rows(images.size() * embed_dim());
    const std::vector<const clip_image *> pointers = detail::pointers<clip_image>(images);
    const clip_status status = clip_embed_images(get(), pointers.data(), pointers.size(), rows.data(), rows.size());
    return detail::give(status, [&] { return std::move(rows); });
}

// ---- Frames --------------------------------------------------------------------------------------------------------------

inline returns<std::vector<match>> model::classify(const frame &frame, const labels &labels, std::size_t top) const {
    std::vector<match> matches(detail::smaller(top, labels.size()));
    std::size_t count = 0;
    const clip_status status = clip_classify_frame(get(), &frame, labels.get(), matches.data(), matches.size(), &count);
    return detail::give(status, [&] {
        matches.resize(count);
        return std::move(matches);
    });
}

inline returns<std::size_t> model::classify(const frame &frame, const labels &labels, span<match> matches) const {
    std::size_t count = 0;
    const clip_status status = clip_classify_frame(get(), &frame, labels.get(), matches.data(), matches.size(), &count);
    return detail::give(status, [&] { return count; });
}

inline returns<std::vector<std::vector<match>>> model::classify(span<const frame> frames, const labels &labels,
                                                                std::size_t top) const {
    const std::vector<const clip_frame *> pointers = detail::addresses<clip_frame>(frames);
    const std::size_t n = frames.size(), width = detail::smaller(top, labels.size());
    std::vector<match> flat = detail::room(n, width);
    std::size_t count = 0;
    const clip_status status =
        clip_classify_frames(get(), pointers.data(), n, labels.get(), width, flat.data(), flat.size(), &count);
    return detail::give(status, [&] { return detail::rows(flat, n, width, count); });
}

inline returns<std::vector<float>> model::embed(span<const frame> frames) const {
    std::vector<float> rows(frames.size() * embed_dim());
    const std::vector<const clip_frame *> pointers = detail::addresses<clip_frame>(frames);
    const clip_status status = clip_embed_frames(get(), pointers.data(), pointers.size(), rows.data(), rows.size());
    return detail::give(status, [&] { return std::move(rows); });
}

// ---- Streams -------------------------------------------------------------------------------------------------------------

/// How a stream treats its frames: clip_stream_options, whose fields are set one by one, but for `outcome` and `user`.
struct stream_options : clip_stream_options {
    stream_options() noexcept : clip_stream_options CLIP_STREAM_OPTIONS_INIT {}
};

/// A part of a frame.
using region = clip_region;
/// What was found in a frame, or in one of its regions.
using item = clip_item;
/// How many frames a stream had so far.
using stream_counts = clip_stream_counts;

/// What a frame came to. Only a view: it is valid as clip_outcome is.
class outcome {
public:
    explicit outcome(const clip_outcome *found) noexcept : found_(found) {}

    std::uint64_t tag() const noexcept { return found_->tag; }
    std::uint64_t sequence() const noexcept { return found_->sequence; }
    std::chrono::nanoseconds latency() const noexcept { return std::chrono::nanoseconds(found_->latency); }
    /// CLIP_OK, CLIP_DROPPED, or the error with which the engine failed.
    clip_status status() const noexcept { return found_->status; }
    /// Why it failed, or "".
    const char *error() const noexcept { return found_->error; }
    /// The labels that the frame was compared with, one more owner of them; none unless status() is CLIP_OK.
    std::optional<clip::labels> labels() const {
        if (found_->labels == nullptr)
            return std::nullopt;
        return clip::labels(clip_labels_retain(found_->labels));
    }
    /// How many items there are.
    std::size_t size() const noexcept { return found_->count; }
    const item &operator[](std::size_t index) const noexcept { return *clip_outcome_item(found_, index); }

private:
    const clip_outcome *found_;
};

/// One camera's frames.
class stream {
public:
    /// With a function that is told of each outcome, in a thread of the library, and throws nothing; without one, call poll().
    static returns<stream> open(const model &model, const labels &labels, stream_options options = stream_options(),
                                std::function<void(const outcome &)> told = nullptr) {
        auto kept = told ? std::make_unique<function>(std::move(told)) : nullptr;
        options.outcome = kept ? tell : nullptr;
        options.user = kept.get();
        clip_stream *out = nullptr;
        const clip_status status = clip_stream_open(model.get(), labels.get(), &options, &out);
        return detail::give(status, [&] { return stream(std::move(kept), out); });
    }

    stream(stream &&) noexcept = default;
    /// The stream that this was ends first, and then its function, which is told of the frames that it gives back.
    stream &operator=(stream &&other) noexcept {
        handle_ = std::move(other.handle_);
        told_ = std::move(other.told_);
        return *this;
    }

    /// The handle, for calls of clip.h; it stays this object's.
    const clip_stream *get() const noexcept { return handle_.get(); }

    /// False where the frame was dropped.
    returns<bool> push(const frame &frame, std::uint64_t tag) const {
        return taken(clip_stream_push(get(), &frame, tag));
    }
    returns<bool> push(const frame &frame, span<const region> regions, std::uint64_t tag) const {
        return taken(clip_stream_push_regions(get(), &frame, regions.data(), regions.size(), tag));
    }

    /// The next outcome, valid until the next call; none where there was none in time, at once for a time that has passed.
    returns<std::optional<outcome>> poll(std::chrono::milliseconds timeout) const {
        const clip_outcome *found = nullptr;
        const clip_status status = clip_stream_poll(get(), detail::milliseconds(timeout), &found);
        return detail::give(status == CLIP_TIMEOUT ? CLIP_OK : status, [&] {
            return found == nullptr ? std::nullopt : std::optional<outcome>(found);
        });
    }

    returns<void> set_labels(const labels &labels) const { return detail::check(clip_stream_set_labels(get(), labels.get())); }
    returns<void> flush() const { return detail::check(clip_stream_flush(get())); }
    returns<stream_counts> counts() const {
        stream_counts counts{};
        const clip_status status = clip_stream_count(get(), &counts);
        return detail::give(status, [&] { return counts; });
    }

private:
    using function = std::function<void(const outcome &)>;

    stream(std::unique_ptr<function> told, clip_stream *handle) noexcept : told_(std::move(told)), handle_(handle) {}

    static void tell(void *user, const clip_outcome *found) noexcept { (*static_cast<function *>(user))(outcome(found)); }

    static returns<bool> taken(clip_status status) {
        return detail::give(status == CLIP_DROPPED ? CLIP_OK : status, [&] { return status == CLIP_OK; });
    }

    /// Goes after the handle, whose end may still call it.
    std::unique_ptr<function> told_;
    detail::handle<clip_stream, clip_stream_free> handle_;
};

} // namespace clip

#endif // CLIP_HPP
