/* One step of training as in step.py, validation, and the probe of probe.py, for a network of blocks
 * scale * relu(W x + b), plus x where they have a skip; the scale may be learnt. What is called from Python stands at the end; compiled.py calls it.
 *
 * Matrices are row-major. Each seed is taken from its batch to its new weights before the next one: what it needs then
 * stays in the core's cache, and how many threads share the seeds changes no result. Rows of scratch memory come in
 * whole tiles; what stands in rows beyond the batch never reaches the others.
 */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

/* A tile of ROWS x 2 LANES sums fills the registers of AVX-512, or of AVX2 and NEON. Width is a multiple of LANES. */
#ifdef __AVX512F__
enum { LANES = 16, ROWS = 8 };
#else
enum { LANES = 8, ROWS = 4 };
#endif
typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float Half __attribute__((vector_size(2 * LANES), aligned(4), may_alias));
typedef double Doubles __attribute__((vector_size(4 * LANES)));

typedef struct {
    float *value, *momentum;
    long numbers, stride; /* of one seed; from one seed to the next */
} Parameter;

typedef struct {
    Parameter weight, bias, factor; /* (outputs, inputs), (outputs), the scale: of no numbers where it is fixed */
    float scale;
    int skip;
} Layer;

typedef struct {
    const Layer *layers; /* stem, blocks, head */
    long depth, width, features, classes, seeds;
    long rows, batch, steps; /* of the train set; the most that a step takes; that there is room for */
    float lr, momentum, clip_norm;
    int unbounded;     /* whether a step may lead out of float32 */
    bool *alive;       /* (seeds) */
    float *loss_sum;   /* (seeds) */
    float *grad_norm;  /* (steps, seeds, depth + 2) */
    bool *valid;       /* (steps, seeds) */
    const int64_t *done;
} Training;

/* Scratch memory of one seed: activations of a batch, gradients of all parameters. */
typedef struct {
    float *points, *stream, *logits, *delta, *gradient, *transposed, *gradients;
    uint8_t *open; /* where a block's pre-activation is positive */
    long size;     /* of the stream after one block */
} Scratch;

static long whole(long rows) { return (rows + ROWS - 1) / ROWS * ROWS; }

static long numbers_of_gradients(const Training *t) {
    return t->depth * ((t->width + 1) * t->width + 1) + (t->features + t->classes + 1) * t->width + t->classes;
}

static Scratch divided(const Training *t, long batch, float *memory) {
    long rows = whole(batch), size = rows * t->width;
    Scratch s = {.size = size};
    s.stream = memory;
    s.delta = s.stream + (t->depth + 1) * size;
    s.gradient = s.delta + size;
    s.transposed = s.gradient + size;
    s.points = s.transposed + t->width * t->width;
    s.logits = s.points + rows * t->features;
    s.gradients = s.logits + rows * t->classes;
    s.open = (uint8_t *)(s.gradients + numbers_of_gradients(t));
    return s;
}

static const float *of_seed(const Parameter *p, long seed) { return p->value + seed * p->stride; }

static float scale_of(const Layer *block, long seed) {
    return block->factor.numbers ? *of_seed(&block->factor, seed) : block->scale;
}

/* c = alpha a b, or c += alpha a b, for a tile of c. a[i, k] stands at a[i * row + k * step]. */
#define TILE(NAME, VECTORS)                                                                                            \
    static inline void NAME(long inner, const float *a, long row, long step, const float *b, float *c, long columns,   \
                            float alpha, int add) {                                                                    \
        Vector sum[ROWS][VECTORS], right[VECTORS];                                                                     \
        memset(sum, 0, sizeof sum);                                                                                    \
        for (long k = 0; k < inner; k++, a += step, b += columns) {                                                    \
            for (int j = 0; j < VECTORS; j++) right[j] = ((const Vector *)b)[j];                                       \
            for (int i = 0; i < ROWS; i++)                                                                             \
                for (int j = 0; j < VECTORS; j++) sum[i][j] += a[i * row] * right[j];                                  \
        }                                                                                                              \
        for (int i = 0; i < ROWS; i++, c += columns)                                                                   \
            for (int j = 0; j < VECTORS; j++) {                                                                        \
                Vector *place = (Vector *)c + j;                                                                       \
                *place = add ? *place + alpha * sum[i][j] : alpha * sum[i][j];                                         \
            }                                                                                                          \
    }
TILE(wide_tile, 2)
TILE(narrow_tile, 1)

/* Memory that will be needed soon. */
typedef struct {
    const void *place;
    long bytes;
} Soon;

/* Prefetch one of so many parts of it. */
static inline void fetch(Soon soon, long part, long parts) {
    const char *place = soon.place;
    for (long i = soon.bytes * part / parts; i < soon.bytes * (part + 1) / parts; i += 64)
        __builtin_prefetch(place + i, 0, 2);
}

/* c = alpha a b, or c += alpha a b. What is needed next is prefetched meanwhile, a part with each tile: deep networks
 * do not fit into the cache. */
static void product(long rows, long columns, long inner, const float *a, long row, long step, const float *b, float *c,
                    float alpha, int add, Soon one, Soon other) {
    long wide = columns / (2 * LANES) * (2 * LANES), part = 0;
    long parts = rows / ROWS * (wide / (2 * LANES) + (columns - wide) / LANES);
    for (long j = 0; j < columns; j += j < wide ? 2 * LANES : LANES)
        for (long i = 0; i < rows; i += ROWS, part++) {
            fetch(one, part, parts);
            fetch(other, part, parts);
            if (j < wide)
                wide_tile(inner, a + i * row, row, step, b + j, c + i * columns + j, columns, alpha, add);
            else
                narrow_tile(inner, a + i * row, row, step, b + j, c + i * columns + j, columns, alpha, add);
        }
}

/* Of a matrix whose sides are multiples of 4: in blocks that fit the registers. */
static void transpose(long rows, long columns, const float *restrict from, float *restrict to) {
    for (long i = 0; i < rows; i += 4)
        for (long j = 0; j < columns; j += 4)
            for (long k = j; k < j + 4; k++)
                for (long l = i; l < i + 4; l++) to[k * rows + l] = from[l * columns + k];
}

static void transpose_narrow(long rows, long columns, const float *restrict from, float *restrict to) {
    for (long i = 0; i < columns; i++)
        for (long j = 0; j < rows; j++) to[i * rows + j] = from[j * columns + i];
}

static float dot(long numbers, const float *a, const float *b) {
    Vector sums = {0};
    for (long i = 0; i < numbers; i += LANES) sums += *(const Vector *)(a + i) * *(const Vector *)(b + i);
    float sum = 0;
    for (int j = 0; j < LANES; j++) sum += sums[j];
    return sum;
}

/* In double, where the square of no float32 is 0 or infinite. */
static double sum_of_squares(long numbers, const float *values) {
    Doubles sums[4] = {{0}}, all;
    long i = 0;
    for (; i + 2 * LANES <= numbers; i += 2 * LANES)
        for (int j = 0; j < 4; j++) {
            Doubles found = __builtin_convertvector(*(const Half *)(values + i + j * LANES / 2), Doubles);
            sums[j] += found * found;
        }
    all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double sum = 0;
    for (int j = 0; j < LANES / 2; j++) sum += all[j];
    for (; i < numbers; i++) sum += (double)values[i] * values[i];
    return sum;
}

/* What the probe finds of a block, in the order of its columns. */
typedef struct {
    double weight_grad_norm, delta_norm, z_mean, z_std, x_mean, x_std, dead_fraction, branch_ratio;
} Probed;

/* Pre-activations h + b, the streams x before and after the block. Sums of each unit by itself first, into memory for
 * seven of them, so that they can be taken side by side. */
static void look(long width, long batch, const float *restrict h, const float *restrict b, const float *restrict x,
                 const float *restrict after, bool skip, double *restrict memory, Probed *found) {
    double *z = memory, *zz = z + width, *top = zz + width, *y = top + width, *yy = y + width, *xx = yy + width,
           *added = xx + width;
    memset(memory, 0, 7 * width * sizeof *memory);
    for (long j = 0; j < width; j++) top[j] = -INFINITY;
    for (long i = 0; i < batch * width; i += width)
        for (long j = 0; j < width; j++) {
            double pre = h[i + j] + b[j], new = after[i + j], old = x[i + j], more = after[i + j] - x[i + j];
            z[j] += pre;
            zz[j] += pre * pre;
            top[j] = pre > top[j] ? pre : top[j];
            y[j] += new;
            yy[j] += new * new;
            xx[j] += old * old;
            added[j] += more * more;
        }
    for (long j = 1; j < width; j++) {
        z[0] += z[j];
        zz[0] += zz[j];
        y[0] += y[j];
        yy[0] += yy[j];
        xx[0] += xx[j];
        added[0] += added[j];
    }
    long dead = 0;
    for (long j = 0; j < width; j++) dead += top[j] <= 0;
    double numbers = (double)batch * width;
    found->z_mean = z[0] / numbers;
    found->z_std = sqrt(fmax(0, zz[0] / numbers - found->z_mean * found->z_mean));
    found->x_mean = y[0] / numbers;
    found->x_std = sqrt(fmax(0, yy[0] / numbers - found->x_mean * found->x_mean));
    found->dead_fraction = (double)dead / width;
    found->branch_ratio = skip && xx[0] > 0 ? sqrt(added[0] / xx[0]) : NAN;
}

/* Streams and logits of the rows in s->points. Where no backward pass follows, only two streams are kept, in turns.
 * What the probe finds of each block, where somebody asks for it. */
static void forward(const Training *t, const Scratch *s, long seed, long batch, bool kept, Probed *found) {
    long width = t->width;
    const Layer *stem = t->layers, *head = stem + t->depth + 1;
    transpose_narrow(width, t->features, of_seed(&stem->weight, seed), s->transposed);
    const float *bias = of_seed(&stem->bias, seed);
    for (long i = 0; i < batch; i++) {
        float *restrict x = s->stream + i * width;
        memcpy(x, bias, width * sizeof *x);
        for (long k = 0; k < t->features; k++) {
            const float *restrict weight = s->transposed + k * width;
            float point = s->points[i * t->features + k];
            for (long j = 0; j < width; j++) x[j] += point * weight[j];
        }
    }
    for (long l = 0; l < t->depth; l++) {
        const Layer *block = stem + 1 + l;
        const float *restrict x = s->stream + (kept ? l : l % 2) * s->size;
        float *restrict h = s->delta, *restrict after = s->stream + (kept ? l + 1 : (l + 1) % 2) * s->size;
        uint8_t *restrict open = s->open + (kept ? l * s->size : 0);
        transpose(width, width, of_seed(&block->weight, seed), s->transposed);
        bool last = l == t->depth - 1;
        Soon weights = {of_seed(&block[!last].weight, seed), width * width * sizeof(float)};
        Soon written = {after + (kept && !last ? s->size : 0), s->size * sizeof(float)};
        product(whole(batch), width, width, x, width, 1, s->transposed, h, 1, 0, weights, written);
        const float *restrict b = of_seed(&block->bias, seed);
        float scale = scale_of(block, seed);
        bool skip = block->skip;
        for (long i = 0; i < s->size; i += width)
            for (long j = 0; j < width; j++) {
                float z = h[i + j] + b[j];
                open[i + j] = z > 0;
                z = z < 0 ? 0 : z; /* nan stays nan */
                after[i + j] = (skip ? x[i + j] : 0) + scale * z;
            }
        if (found) look(width, batch, h, b, x, after, skip, (double *)s->transposed, found + l);
    }
    const float *weight = of_seed(&head->weight, seed), *x = s->stream + (kept ? t->depth : t->depth % 2) * s->size;
    bias = of_seed(&head->bias, seed);
    for (long i = 0; i < batch; i++)
        for (long c = 0; c < t->classes; c++)
            s->logits[i * t->classes + c] = bias[c] + dot(width, x + i * width, weight + c * width);
}

/* The norm of the gradients of a layer's weights, which the others of the layer follow; returns the squares of all,
 * summed. */
static double squared(const Layer *layer, const float *gradient, float *norm) {
    long others = layer->bias.numbers + layer->factor.numbers;
#ifdef ONE_NORM /* of all gradients, which clipping needs, and none of a layer: benchmarks/norms.py */
    (void)norm;
    return sum_of_squares(layer->weight.numbers + others, gradient);
#else
    double of_weights = sum_of_squares(layer->weight.numbers, gradient);
    *norm = sqrt(of_weights);
    return of_weights + sum_of_squares(others, gradient + layer->weight.numbers);
#endif
}

/* The sum of the losses of a batch, whose labels are those of the rows, or all where there are no rows, and how many
 * are classified as labelled. Makes of s->logits the gradient of the losses' mean with respect to them. */
static double losses(const Training *t, const Scratch *s, const int64_t *labels, const int64_t *rows, long batch,
                     long *correct) {
    double sum = 0;
    for (long i = 0; i < batch; i++) {
        float *row = s->logits + i * t->classes;
        long first = 0, label = labels[rows ? rows[i] : i];
        for (long c = 1; c < t->classes; c++)
            if (row[c] > row[first]) first = c;
        float largest = row[first], total = 0;
        float own = row[label] - largest;
        for (long c = 0; c < t->classes; c++) total += row[c] = expf(row[c] - largest);
        for (long c = 0; c < t->classes; c++) row[c] = (row[c] / total - (c == label)) / batch;
        sum += logf(total) - own;
        *correct += first == label;
    }
    return sum;
}

/* delta = g where the pre-activation is positive, else 0, and the gradient of the bias. */
static void masked(long width, long batch, const uint8_t *restrict open, const float *restrict g, float scale,
                   float *restrict delta, float *restrict bias_gradient) {
    memset(bias_gradient, 0, width * sizeof *bias_gradient);
    for (long i = 0; i < batch * width; i += width)
        for (long j = 0; j < width; j++) {
            float d = open[i + j] ? g[i + j] : 0;
            delta[i + j] = d;
            bias_gradient[j] += d;
        }
    for (long j = 0; j < width; j++) bias_gradient[j] *= scale;
}

/* The gradient of a learnt scale s, and those of the weights and biases behind it, which come here as if s were 1:
 * dLoss/ds = <dLoss/dy, relu(W x + b)> = <W, delta^T x> + <b, the sum of delta>. This needs no further pass over the
 * rows, and holds for s = 0 too. */
static void scaled(const Layer *block, long seed, float scale, float *restrict gradient) {
    long weights = block->weight.numbers, numbers = weights + block->bias.numbers;
    float found = dot(weights, of_seed(&block->weight, seed), gradient)
                  + dot(block->bias.numbers, of_seed(&block->bias, seed), gradient + weights);
    for (long i = 0; i < numbers; i++) gradient[i] *= scale;
    gradient[numbers] = found;
}

/* Gradients of the head, and g from those of its outputs. */
static void backward_head(const Training *t, const Scratch *s, long seed, long batch, float *restrict weight_gradient,
                          float *restrict bias_gradient, float *restrict g) {
    const float *restrict weight = of_seed(&t->layers[t->depth + 1].weight, seed);
    const float *restrict x = s->stream + t->depth * s->size;
    long width = t->width;
    memset(weight_gradient, 0, t->classes * width * sizeof *weight_gradient);
    memset(bias_gradient, 0, t->classes * sizeof *bias_gradient);
    memset(g, 0, s->size * sizeof *g);
    for (long i = 0; i < batch; i++)
        for (long c = 0; c < t->classes; c++) {
            float error = s->logits[i * t->classes + c];
            bias_gradient[c] += error;
            for (long j = 0; j < width; j++) weight_gradient[c * width + j] += error * x[i * width + j];
            for (long j = 0; j < width; j++) g[i * width + j] += error * weight[c * width + j];
        }
}

/* Gradients of the stem; those of its weights by feature, (features, width). */
static void backward_stem(const Training *t, const Scratch *s, long batch, float *restrict by_feature,
                          float *restrict bias_gradient) {
    const float *restrict g = s->gradient;
    long width = t->width;
    memset(by_feature, 0, t->features * width * sizeof *by_feature);
    memset(bias_gradient, 0, width * sizeof *bias_gradient);
    for (long i = 0; i < batch; i++) {
        for (long j = 0; j < width; j++) bias_gradient[j] += g[i * width + j];
        for (long k = 0; k < t->features; k++) {
            float point = s->points[i * t->features + k];
            for (long j = 0; j < width; j++) by_feature[k * width + j] += point * g[i * width + j];
        }
    }
}

/* Gradients of all parameters into s->gradients, in the order of the layers, each its weight, its bias, its scale.
 * ||dLoss/dW||_F of every layer; returns the norm of all gradients together. */
static double backward(const Training *t, const Scratch *s, long seed, long batch, float *norms, Probed *found) {
    const Layer *head = t->layers + t->depth + 1;
    long width = t->width, block_numbers = width * width + width + (t->depth ? t->layers[1].factor.numbers : 0);
    float *g = s->gradient, *delta = s->delta;
    float *weight_gradient = s->gradients + (t->features + 1) * width + t->depth * block_numbers;
    backward_head(t, s, seed, batch, weight_gradient, weight_gradient + t->classes * width, g);
    double squares = squared(head, weight_gradient, norms + t->depth + 1);
    for (long l = t->depth - 1; l >= 0; l--) {
        const Layer *block = t->layers + 1 + l;
        const float *x = s->stream + l * s->size, *weights = of_seed(&block->weight, seed);
        const uint8_t *open = s->open + l * s->size;
        long one = l ? 1 : 0; /* block back */
        weight_gradient = s->gradients + (t->features + 1) * width + l * block_numbers;
        bool learnt = block->factor.numbers;
        float scale = scale_of(block, seed), alpha = learnt ? 1 : scale;
        masked(width, batch, open, g, alpha, delta, weight_gradient + width * width);
        Soon stream = {x - one * s->size, s->size * sizeof *x}, mask = {open - one * s->size, s->size};
        product(width, width, batch, delta, 1, width, x, weight_gradient, alpha, 0, stream, mask);
        if (learnt) scaled(block, seed, scale, weight_gradient);
        squares += squared(block, weight_gradient, norms + 1 + l);
        if (found) {
            found[l].weight_grad_norm = sqrt(sum_of_squares(width * width, weight_gradient));
            found[l].delta_norm = fabs(scale) * sqrt(sum_of_squares(batch * width, delta));
        }
        Soon before = {of_seed(&block[-one].weight, seed), width * width * sizeof *x};
        Soon written = {weight_gradient - one * block_numbers, width * width * sizeof *x};
        product(whole(batch), width, width, delta, width, 1, weights, g, scale, block->skip, before, written);
    }
    backward_stem(t, s, batch, s->transposed, s->gradients + t->features * width);
    transpose_narrow(t->features, width, s->transposed, s->gradients);
    return sqrt(squares + squared(t->layers, s->gradients, norms));
}

/* Momentum from the gradients, clipped by a factor, and the next weights: only if all of them are finite numbers, which
 * is looked at first where a step may be that large. */
static bool moved(const Training *t, const Scratch *s, long seed, float factor) {
    float lr = t->lr, kept = t->momentum;
    for (int trial = t->unbounded; trial >= 0; trial--) {
        const float *restrict gradient = s->gradients;
        int beyond = 0;
        for (long l = 0; l < t->depth + 2; l++)
            for (int part = 0; part < 3; part++) {
                const Layer *layer = t->layers + l;
                const Parameter *parameter = part == 0 ? &layer->weight : part == 1 ? &layer->bias : &layer->factor;
                float *restrict value = parameter->value + seed * parameter->stride;
                float *restrict momentum = parameter->momentum + seed * parameter->stride;
                if (trial)
                    for (long i = 0; i < parameter->numbers; i++)
                        beyond |= !(fabsf(value[i] - lr * (kept * momentum[i] + factor * gradient[i])) < FLT_MAX);
                else
                    for (long i = 0; i < parameter->numbers; i++) {
                        momentum[i] = kept * momentum[i] + factor * gradient[i];
                        value[i] -= lr * momentum[i];
                    }
                gradient += parameter->numbers;
            }
        if (beyond) return false;
    }
    return true;
}

/* How many floats of scratch memory a thread needs: what divided() divides. */
long scratch_size(const Training *t) {
    long rows = whole(t->batch), size = rows * t->width;
    return (t->depth + 3) * size + t->width * t->width + rows * (t->features + t->classes) + numbers_of_gradients(t)
           + t->depth * size / (long)sizeof(float);
}

/* Gradients below 1e-38, as deep plain networks have them, take processors of this kind many times as long: they become
 * 0. Returns what restores the former way. */
static unsigned flushing(void) {
#ifdef __SSE__
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* results and operands */
    return before;
#else
    return 0;
#endif
}

static void restore(unsigned before) {
#ifdef __SSE__
    _mm_setcsr(before);
#endif
}

/* A step of the seeds from first to end on the rows of that number; those of the next seed stand so many apart, 0 where
 * all seeds share them. False, and nothing done, beyond what was prepared. */
bool take_step(const Training *t, const float *points, const int64_t *labels, const int64_t *rows, long batch, long apart,
               long first, long end, float *memory) {
    if (batch > t->batch || *t->done >= t->steps) return false;
    for (long i = 0; i < batch + apart * (t->seeds - 1); i++) /* those of all seeds: other threads have the others */
        if (rows[i] < 0 || rows[i] >= t->rows) return false;
    Scratch s = divided(t, batch, memory);
    unsigned before = flushing();
    for (long seed = first; seed < end; seed++) {
        if (!t->alive[seed]) continue;
        const int64_t *own = rows + seed * apart;
        for (long i = 0; i < batch; i++)
            memcpy(s.points + i * t->features, points + own[i] * t->features, t->features * sizeof *points);
        forward(t, &s, seed, batch, true, NULL);
        long correct = 0;
        double loss = losses(t, &s, labels, own, batch, &correct);
        t->loss_sum[seed] += loss;
        double norm = backward(t, &s, seed, batch, t->grad_norm + (*t->done * t->seeds + seed) * (t->depth + 2), NULL);
        double factor = fmin(1, t->clip_norm / (norm + 1e-6)); /* as torch.nn.utils.clip_grad_norm_ has it */
        t->alive[seed] = isfinite(loss) && norm < FLT_MAX && moved(t, &s, seed, factor);
        t->valid[*t->done * t->seeds + seed] = t->alive[seed];
    }
    restore(before);
    return true;
}

/* Mean loss and share of rows classified as labelled, for the seeds from first to end; a batch at a time. */
bool validate(const Training *t, const float *points, const int64_t *labels, long rows, double *loss, double *accuracy,
              long first, long end, float *memory) {
    for (long seed = first; seed < end; seed++) {
        long correct = 0;
        double sum = 0;
        for (long row = 0; row < rows; row += t->batch) {
            long taken = rows - row < t->batch ? rows - row : t->batch;
            Scratch s = divided(t, taken, memory);
            memcpy(s.points, points + row * t->features, taken * t->features * sizeof *points);
            forward(t, &s, seed, taken, false, NULL);
            sum += losses(t, &s, labels + row, NULL, taken, &correct);
        }
        loss[seed] = sum / rows;
        accuracy[seed] = (double)correct / rows;
    }
    return true;
}

/* What the probe finds of each block on all the rows, at most a batch: (seeds, depth). */
bool probe(const Training *t, const float *points, const int64_t *labels, long rows, Probed *found, float *norms,
           long first, long end, float *memory) {
    if (rows > t->batch) return false;
    Scratch s = divided(t, rows, memory);
    memcpy(s.points, points, rows * t->features * sizeof *points);
    for (long seed = first; seed < end; seed++) {
        long correct = 0;
        forward(t, &s, seed, rows, true, found + seed * t->depth);
        losses(t, &s, labels, NULL, rows, &correct);
        backward(t, &s, seed, rows, norms + seed * (t->depth + 2), found + seed * t->depth);
    }
    return true;
}
