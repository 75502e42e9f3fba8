/* Opens, labels, classifies and frees where something is scarce: memory, threads, stack, or, in a fork, the threads that the
 * model was opened with. Every call succeeds or fails with a status; nothing is printed, and nothing ends or hangs the process.
 *
 *     scarce memory|threads|stack|fork MODEL_FOLDER
 *
 * Build it with -rdynamic, so that the libraries call the pthread_create below.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clip.h"

#define STEPS 40
#define LABELS 300
#define WIDTH 3000
#define HEIGHT 2000
/* A child that takes longer hangs. */
#define SECONDS 120

static const char *folder;

/* What a child found, in memory that it shares with its parent. */
static struct {
    clip_status status;
    char message[500];
} *found;

/* How many more threads can be started; less than 0 for any number. */
static int threads_left = -1;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    typedef int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    static create real;

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (threads_left == 0)
        return EAGAIN;
    if (threads_left > 0)
        threads_left--;
    return real(thread, attributes, run, argument);
}

/* Keeps the first failure. */
static int works(clip_status status)
{
    if (status != CLIP_OK && found->status == CLIP_OK) {
        found->status = status;
        strncpy(found->message, clip_last_error(), sizeof found->message - 1);
    }
    return status == CLIP_OK;
}

/* Calls that take memory by what they are given: many labels, a large frame, a picture file. */
static void use(const clip_model *model)
{
    static char names[LABELS][32];
    static const char *labels[LABELS], *const templates[] = {"a photo of a {}.", "{}"};
    static uint8_t frame[WIDTH * HEIGHT * 3];
    static uint8_t bmp[54 + 16] = {'B', 'M', 70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2,
                                   0,   0,   0, 2, 0, 0, 0, 1, 0, 24};
    clip_labels *set = NULL;
    clip_image *images[2] = {NULL, NULL};
    clip_match matches[6];
    size_t i, count;

    for (i = 0; i < LABELS; i++) {
        sprintf(names[i], "%s %d", i % 2 == 0 ? "red" : "blue", (int)i);
        labels[i] = names[i];
    }
    memset(frame, 200, sizeof frame);
    memset(bmp + 54, 100, 16);
    works(clip_labels_new(model, labels, LABELS, templates, 2, &set));
    works(clip_image_from_rgb(frame, sizeof frame, WIDTH, HEIGHT, WIDTH * 3, &images[0]));
    works(clip_image_decode(model, bmp, sizeof bmp, &images[1]));
    for (i = 0; i < 2; i++)
        if (set != NULL && images[i] != NULL)
            works(clip_classify(model, images[i], set, matches, 3, &count));
    if (set != NULL && images[0] != NULL && images[1] != NULL)
        works(clip_classify_images(model, (const clip_image *const *)images, 2, set, 3, matches, 6, &count));
    for (i = 0; i < 2; i++)
        clip_image_free(images[i]);
    clip_labels_free(set);
}

static void everything(void)
{
    clip_model *model = NULL;

    if (works(clip_model_open(folder, NULL, &model)))
        use(model);
    clip_model_free(model);
}

/* Runs `run(argument)` in a child, and says whether it ended by itself and printed nothing. */
static int lives(void (*run)(size_t), size_t argument, const char *what)
{
    char text[200] = "";
    FILE *printed = tmpfile();
    int status;
    size_t length;
    pid_t child;

    found->status = CLIP_OK;
    found->message[0] = '\0';
    if (printed == NULL || (child = fork()) < 0) {
        perror(what);
        return 0;
    }
    if (child == 0) {
        dup2(fileno(printed), STDOUT_FILENO);
        dup2(fileno(printed), STDERR_FILENO);
        alarm(SECONDS);
        run(argument);
        _exit(0);
    }
    waitpid(child, &status, 0);
    rewind(printed);
    length = fread(text, 1, sizeof text - 1, printed);
    text[length] = '\0';
    fclose(printed);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && length == 0 && found->status != CLIP_ERROR_INTERNAL)
        return 1;
    fprintf(stderr, "%s %lu: wait status 0x%x, %s \"%s\", printed: %s\n", what, (unsigned long)argument,
            (unsigned)status, clip_status_name(found->status), found->message, text);
    return 0;
}

/* A field of /proc/self/status, in bytes. */
static size_t field(const char *name)
{
    char line[200];
    size_t value = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoul(line + strlen(name) + 1, NULL, 10) * 1024;
    if (file != NULL)
        fclose(file);
    return value;
}

static void allow(size_t bytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = field("VmSize") + bytes;
    setrlimit(RLIMIT_AS, &limit);
}

/* Takes what opening has left free in large pieces, which is now more, now less. */
static void take_large_pieces(void)
{
    size_t size;

    allow(0);
    for (size = (size_t)64 << 20; size >= (size_t)1 << 20; size /= 2)
        while (malloc(size) != NULL)
            ;
}

static void open_within(size_t bytes)
{
    allow(bytes);
    everything();
}

/* The limit comes when the model is open, and when the engine's threads have begun: what each takes then is the engine's affair. */
static void use_within(size_t bytes)
{
    const struct timespec moment = {0, 50 * 1000 * 1000};
    clip_model *model = NULL;

    if (!works(clip_model_open(folder, NULL, &model)))
        return;
    nanosleep(&moment, NULL);
    take_large_pieces();
    allow(bytes);
    use(model);
    clip_model_free(model);
}

static void measure(size_t unused)
{
    (void)unused;
    everything();
    sprintf(found->message, "%lu", (unsigned long)(field("VmPeak")));
}

/* From nothing to more than enough, in equal steps. */
static int steps(void (*run)(size_t), size_t enough, const char *what)
{
    size_t i;
    int good = 1, refused = 0;

    for (i = 0; i < STEPS; i++) {
        good &= lives(run, enough * i / (STEPS - 1), what);
        refused += found->status != CLIP_OK;
    }
    if (found->status != CLIP_OK || refused == 0) {
        fprintf(stderr, "%s: %d of %d steps refused, the last: %s\n", what, refused, STEPS, found->message);
        good = 0;
    }
    return good;
}

static int memory(void)
{
    size_t enough;
    int good;

    if (!lives(measure, 0, "measure"))
        return 0;
    enough = strtoul(found->message, NULL, 10);
    /* The same without what the process has already, and some more for what comes in another order. */
    enough += 64 << 20;
    good = steps(open_within, enough, "memory to open");
    return steps(use_within, 96 << 20, "memory to use") && good;
}

static void start_at_most(size_t threads)
{
    threads_left = (int)threads;
    everything();
}

static int threads(void)
{
    size_t i;
    int good = 1;

    for (i = 0; i < 12; i++)
        good &= lives(start_at_most, i, "threads");
    if (found->status != CLIP_OK) {
        fprintf(stderr, "threads: %s\n", found->message);
        good = 0;
    }
    return good;
}

static void *all(void *unused)
{
    everything();
    return unused;
}

static void with_stack(size_t bytes)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, bytes) != 0 || pthread_create(&thread, &attributes, all, NULL) != 0)
        _exit(2);
    pthread_join(thread, NULL);
}

static int stack(void)
{
    static const size_t sizes[] = {64 << 10, 96 << 10, 128 << 10, 256 << 10, 1 << 20};
    size_t i;
    int good = 1;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
        good &= lives(with_stack, sizes[i], "stack") && found->status == CLIP_OK;
    return good;
}

/* In a fork the model is refused and freed, and opened again. */
static void forked(size_t unused)
{
    clip_model *model = NULL;
    clip_labels *labels = NULL;
    clip_stream *stream = NULL;
    const char *text = "red";
    pid_t child;
    int status;

    (void)unused;
    if (!works(clip_model_open(folder, NULL, &model)) || !works(clip_labels_new(model, &text, 1, NULL, 0, &labels))
        || !works(clip_stream_open(model, labels, NULL, &stream)))
        return;
    use(model);
    child = fork();
    if (child == 0) {
        const clip_outcome *outcome;
        float row[4096];

        alarm(SECONDS);
        if (clip_stream_flush(stream) != CLIP_ERROR_ENGINE || clip_stream_poll(stream, 60000, &outcome) != CLIP_ERROR_ENGINE
            || clip_stream_set_labels(stream, labels) != CLIP_ERROR_ENGINE)
            _exit(6);
        clip_stream_free(stream);
        clip_labels_free(labels);
        if (clip_embed_texts(model, &text, 1, row, 4096) != CLIP_ERROR_ENGINE
            || strstr(clip_last_error(), "fork") == NULL)
            _exit(3);
        clip_model_free(model);
        everything();
        _exit(found->status == CLIP_OK ? 0 : 4);
    }
    waitpid(child, &status, 0);
    use(model);
    clip_stream_free(stream);
    clip_labels_free(labels);
    clip_model_free(model);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        _exit(5);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    folder = argv[2];
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        return 2;
    if (strcmp(argv[1], "memory") == 0)
        return memory() ? 0 : 1;
    if (strcmp(argv[1], "threads") == 0)
        return threads() ? 0 : 1;
    if (strcmp(argv[1], "stack") == 0)
        return stack() ? 0 : 1;
    if (strcmp(argv[1], "fork") == 0)
        return lives(forked, 0, "fork") && found->status == CLIP_OK ? 0 : 1;
    return 2;
}
