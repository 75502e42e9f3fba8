// Calls everything of clip.hpp, with exceptions and without, on the model of three colours.
//
//     clip MODEL_FOLDER ANOTHER_MODEL_FOLDER FOLDER_TO_WRITE_TO
#include "clip.hpp"

#include <array>
#include <cstdio>
#include <cstring>
#include <thread>

namespace {

int checks = 0, failures = 0;

void check(bool holds, int line, const char *what) {
    checks++;
    if (holds)
        return;
    failures++;
    std::fprintf(stderr, "line %d: not so: %s\n", line, what);
}

#define TRUE(...) check(__VA_ARGS__, __LINE__, #__VA_ARGS__)

#ifdef CLIP_NO_EXCEPTIONS
// A program that goes on without the value would crash, so it ends.
template <class T> T take(clip::result<T> given, int line) {
    if (!given) {
        std::fprintf(stderr, "line %d: %s\n", line, given.error().what());
        std::exit(1);
    }
    return *std::move(given);
}
void take(clip::result<void> given, int line) {
    check(given.has_value(), line, given ? "" : given.error().what());
}
template <class F> void fails(clip_status status, const char *part, int line, F call) {
    const auto given = call();
    check(!given && !given.has_value(), line, "it fails");
    if (!given) {
        check(given.error().status() == status, line, given.error().name());
        check(std::strstr(given.error().what(), part) != nullptr, line, given.error().what());
    }
}
#else
template <class T> T take(T given, int) { return given; }
template <class F> void fails(clip_status status, const char *part, int line, F call) {
    try {
        call();
        check(false, line, "it fails");
    } catch (const clip::error &error) {
        check(error.status() == status, line, error.name());
        check(std::strstr(error.what(), part) != nullptr, line, error.what());
    }
}
#endif

#define TAKE(...) take(__VA_ARGS__, __LINE__)
#ifdef CLIP_NO_EXCEPTIONS
#define WORKS(...) take(__VA_ARGS__, __LINE__)
#else
#define WORKS(...) __VA_ARGS__
#endif
#define FAILS(status, part, ...) fails(status, part, __LINE__, [&] { return __VA_ARGS__; })

const std::vector<std::string> names = {"red", "green", "blue"};

clip::image pixel(std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
    const std::array<std::uint8_t, 3> pixels = {red, green, blue};
    return TAKE(clip::image::from_rgb(pixels, 1, 1, 3));
}

bool near(float a, float b) { return std::abs(a - b) < 1e-5f; }

void models(const std::string &folder) {
    clip::open_options options;
    TRUE(options.struct_size == sizeof(clip_open_options));
    options.threads = 1;
    clip::model model = TAKE(clip::model::open(folder, options));
    TRUE(model.name() == "colours" && model.engine() == "ONNX Runtime" && model.device() == "cpu");
    TRUE(model.engine_version().rfind("1.", 0) == 0 && model.text_engine().find("CPU") != std::string::npos);
    TRUE(model.image_precision() == "fp32" && model.text_precision() == "fp32" && model.unverified() == 0);
    TRUE(model.embed_dim() == 4 && model.image_size() == 8 && model.context_length() == 8);
    TRUE(model.logit_scale() > 0 && !model.logit_bias());
    const clip::model moved = std::move(model);
    TRUE(moved.get() != nullptr && moved.name() == "colours");
    FAILS(CLIP_ERROR_FILE, "/no/such/folder", clip::model::open("/no/such/folder"));
    options.threads = 5000;
    FAILS(CLIP_ERROR_ARGUMENT, "5000 threads", clip::model::open(folder, options));
    TRUE(clip::version_number() == CLIP_VERSION_NUMBER && std::strlen(clip::version()) >= 5);
}

void images(const clip::model &model) {
    const std::string ppm = "P6 1 1 255\nabc";
    const std::vector<std::uint8_t> bytes(ppm.begin(), ppm.end());
    TRUE(TAKE(clip::image::decode(model, bytes)).get() != nullptr);
    FAILS(CLIP_ERROR_IMAGE, "", clip::image::decode(model, clip::span<const std::uint8_t>()));
    FAILS(CLIP_ERROR_FILE, "/no/such.png", clip::image::open(model, "/no/such.png"));
    FAILS(CLIP_ERROR_ARGUMENT, "14 bytes", clip::image::from_rgb(bytes, 9, 9, 27));
}

void classification(const clip::model &model) {
    const clip::labels labels = TAKE(clip::labels::encode(model, names, {"a photo of a {}", "{}"}));
    std::vector<clip::image> pictures;
    pictures.push_back(pixel(250, 9, 0));
    pictures.push_back(pixel(0, 9, 250));
    const std::vector<clip::match> best = TAKE(model.classify(pictures[1], labels, 2));
    TRUE(best.size() == 2 && std::strcmp(labels.name(best[0].index), "blue") == 0);
    TRUE(TAKE(model.classify(pictures[1], labels, 99)).size() == 3);
    clip::match buffer[2];
    TRUE(TAKE(model.classify(pictures[0], labels, buffer)) == 2 && buffer[0].index == 0);
    const auto all = TAKE(model.classify(pictures, labels, 1));
    TRUE(all.size() == 2 && all[0].size() == 1 && all[0][0].index == 0 && all[1][0].index == 2);

    const std::vector<float> rows = TAKE(model.embed(pictures));
    TRUE(rows.size() == 8);
    const auto again = TAKE(model.classify_embeddings(rows, labels, 2));
    TRUE(again.size() == 2 && again[1][0].index == 2 && near(again[1][0].probability, best[0].probability));
    TRUE(TAKE(model.embed_texts({"red", "blue"})).size() == 8 && TAKE(model.embed_texts({})).empty());
    TRUE(TAKE(model.classify(clip::span<const clip::image>(), labels, 1)).empty());
    FAILS(CLIP_ERROR_CAPACITY, "room for 0", model.classify(pictures[0], labels, 0));
    FAILS(CLIP_ERROR_ARGUMENT, "top is 0", model.classify(pictures, labels, 0));
    FAILS(CLIP_ERROR_ARGUMENT, "size is 7", model.classify_embeddings(clip::span<const float>(rows.data(), 7), labels, 1));
}

void label_sets(const clip::model &model, const clip::model &other, const std::string &folder) {
    const clip::labels labels = TAKE(clip::labels::encode(model, names));
    TRUE(labels.size() == 3 && labels.name(3) == nullptr && labels.background() == 0);
    TRUE(!labels.logit_scale() && !labels.logit_bias());
    const std::string path = folder + "/labels.safetensors";
    WORKS(labels.save(path));
    TRUE(TAKE(clip::labels::load(model, path)).size() == 3);
    FAILS(CLIP_ERROR_LABELS, "encode the labels again", clip::labels::load(other, path));
    FAILS(CLIP_ERROR_FILE, "/no/such", labels.save("/no/such/folder/labels"));
    TRUE(TAKE(clip::labels::stored(other)).size() == 2);
    FAILS(CLIP_ERROR_MISSING, "no stored labels", clip::labels::stored(model));
    FAILS(CLIP_ERROR_PROMPT, "2 places", clip::labels::encode(model, names, {"{} {}"}));

    const std::vector<float> rows = TAKE(labels.embeddings(model));
    TRUE(TAKE(clip::labels::from_embeddings(model, names, rows)).size() == 3);
    FAILS(CLIP_ERROR_ARGUMENT, "expected", clip::labels::from_embeddings(model, {"red"}, rows));
    std::vector<clip::image> shown;
    shown.push_back(pixel(250, 0, 0));
    shown.push_back(pixel(0, 0, 250));
    const clip::labels warm = TAKE(clip::labels::from_images(model, {"warm", "cold"}, shown));
    TRUE(warm.size() == 2 && TAKE(model.classify(pixel(240, 30, 0), warm, 1))[0].index == 0);
    FAILS(CLIP_ERROR_NULL, "labels[1] is NULL", clip::labels::from_images(model, {"warm"}, shown));
    FAILS(CLIP_ERROR_NULL, "images[2] is NULL", clip::labels::from_images(model, names, shown));

    const clip::labels own = TAKE(labels.with_logits(3, -1.0f));
    TRUE(own.logit_scale() == 3.0f && own.logit_bias() == -1.0f);
    TRUE(!TAKE(own.with_logits(2)).logit_bias());
    FAILS(CLIP_ERROR_ARGUMENT, "scale 0", labels.with_logits(0));

    const clip::labels wanted = TAKE(clip::labels::encode(model, {"green"}));
    const clip::labels both = TAKE(wanted.with_background(TAKE(clip::labels::encode(model, {"red"}))));
    TRUE(both.size() == 2 && both.background() == 1);
    const std::vector<clip::match> red = TAKE(model.classify(pixel(250, 0, 0), both, 2));
    TRUE(!TAKE(both.decide(red)));
    const std::vector<clip::match> green = TAKE(model.classify(pixel(0, 250, 0), both, 2));
    TRUE(TAKE(both.decide(green)) == std::optional<std::size_t>(0));
    clip::rule rule;
    TRUE(rule.struct_size == sizeof(clip_rule));
    rule.min_similarity = 0.9999f;
    TRUE(!TAKE(wanted.decide(TAKE(model.classify(pixel(90, 90, 90), wanted, 1)), rule)));
    rule.min_probability = 2;
    FAILS(CLIP_ERROR_ARGUMENT, "probability is 2", both.decide(green, rule));
    FAILS(CLIP_ERROR_ARGUMENT, "encode the labels again", labels.with_background(TAKE(clip::labels::stored(other))));
}

// A copy owns the labels too, and goes on working in another thread.
void owners(const clip::model &model) {
    clip::labels current = TAKE(clip::labels::encode(model, names));
    const clip::labels mine = current;
    std::thread user([&model, mine] {
        for (int i = 0; i < 20; i++)
            TRUE(TAKE(model.classify(pixel(0, 0, 255), mine, 1))[0].index == 2);
    });
    current = TAKE(clip::labels::encode(model, {"blue"}));
    user.join();
    TRUE(current.size() == 1 && mine.size() == 3);
    clip::labels moved = std::move(current);
    moved = mine;
    TRUE(moved.get() == mine.get());
}

void frames(const clip::model &model) {
    const clip::labels labels = TAKE(clip::labels::encode(model, names));
    std::vector<std::uint8_t> pixels;
    for (int i = 0; i < 64; i++)
        pixels.insert(pixels.end(), {0, 0, 255});
    clip::frame frame(CLIP_FORMAT_BGR, 8, 8);
    frame.planes[0] = pixels.data();
    TRUE(TAKE(model.classify(frame, labels, 2))[0].index == 0);
    clip::match best[1];
    TRUE(TAKE(model.classify(frame, labels, best)) == 1 && best[0].index == 0);
    std::vector<clip::frame> two(2, frame);
    two[1].format = CLIP_FORMAT_RGB;
    const auto all = TAKE(model.classify(two, labels, 1));
    TRUE(all.size() == 2 && all[0][0].index == 0 && all[1][0].index == 2);
    TRUE(TAKE(model.embed(two)).size() == 8);
    frame.width = 9;
    frame.strides[0] = 24;
    FAILS(CLIP_ERROR_ARGUMENT, "stride", model.classify(frame, labels, 2));
    FAILS(CLIP_ERROR_ARGUMENT, "stride", model.embed(clip::span<const clip::frame>(&frame, 1)));

    const clip::image decoded = TAKE(clip::image::from_rgb(clip::span<const std::uint8_t>(std::vector<std::uint8_t>(12, 200)), 2, 2, 6));
    TRUE(TAKE(decoded.frame()).width == 2 && TAKE(model.classify(TAKE(decoded.frame()), labels, 2)).size() == 2);

    clip::stream_options options;
    TRUE(options.struct_size == sizeof(clip_stream_options));
    options.when_full = CLIP_BLOCK;
    std::uint64_t told = 0;
    clip::stream stream = TAKE(clip::stream::open(model, labels, options, [&told](const clip::outcome &outcome) {
        if (outcome.status() == CLIP_OK && outcome[0].label == 0 && outcome.labels()->size() == 3 && *outcome.error() == 0)
            told += outcome.tag() + outcome.sequence() + (outcome.latency().count() > 0);
    }));
    const clip::stream moved = std::move(stream);
    for (std::uint64_t i = 0; i < 3; i++)
        TRUE(TAKE(moved.push(two[0], i)));
    WORKS(moved.flush());
    TRUE(told == 9 && TAKE(moved.counts()).done == 3);

    // A stream that is assigned to ends before its function does, which is told of frames until then.
    const std::unique_ptr<std::uint64_t> heard = std::make_unique<std::uint64_t>(0);
    const auto listen = [counted = heard.get(), text = std::string(100, 'x')](const clip::outcome &) { *counted += text.size(); };
    options = clip::stream_options();
    options.capacity = 100;
    clip::stream reopened = TAKE(clip::stream::open(model, labels, options, listen));
    for (std::uint64_t i = 0; i < 50; i++)
        TRUE(TAKE(reopened.push(two[0], i)));
    reopened = TAKE(clip::stream::open(model, labels));
    TRUE(*heard == 5000);
    TRUE(!TAKE(reopened.poll(std::chrono::milliseconds(-1))));

    const clip::stream polled = TAKE(clip::stream::open(model, labels));
    TRUE(!TAKE(polled.poll(std::chrono::milliseconds(0))));
    const clip::region halves[] = {{1, 0, 0, 4, 8}, {2, 4, 0, 4, 8}};
    TRUE(TAKE(polled.push(two[1], halves, 7)));
    const std::optional<clip::outcome> outcome = TAKE(polled.poll(std::chrono::seconds(60)));
    TRUE(outcome && outcome->tag() == 7 && outcome->size() == 2 && std::strcmp((*outcome)[1].name, "blue") == 0);
    WORKS(polled.set_labels(TAKE(clip::labels::encode(model, {"green"}))));
    FAILS(CLIP_ERROR_ARGUMENT, "stride", polled.push(frame, 0));
    options.smoothing = 1;
    FAILS(CLIP_ERROR_ARGUMENT, "smoothing", clip::stream::open(model, labels, options));
}

#ifdef CLIP_NO_EXCEPTIONS
void results(const clip::model &model) {
    clip::result<clip::labels> made = clip::labels::encode(model, names);
    TRUE(made && made->size() == 3 && (*made).size() == 3);
    const clip::result<clip::labels> &same = made;
    TRUE(same->size() == 3 && (*same).size() == 3);
    TRUE(clip::result<int>(clip::error(CLIP_ERROR_FILE, "no")).value_or(7) == 7 && clip::result<int>(3).value_or(7) == 3);
    TRUE(std::strcmp(clip::result<void>(clip::error(CLIP_ERROR_FILE, "no")).error().name(), "CLIP_ERROR_FILE") == 0);
}
#endif

} // namespace

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    models(argv[1]);
    const clip::model model = TAKE(clip::model::open(argv[1]));
    const clip::model other = TAKE(clip::model::open(argv[2]));
    images(model);
    classification(model);
    label_sets(model, other, argv[3]);
    owners(model);
    frames(model);
#ifdef CLIP_NO_EXCEPTIONS
    results(model);
#endif
    return failures == 0 && checks > 80 ? 0 : 1;
}
