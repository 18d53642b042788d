# mypy: ignore-errors
# ruff: noqa: D103
"""Warp kernels that shade a head: skin, eyes, hair, clothes and lamps.

Constants are metres on the template head (`pipeline_steps.rendering.heads`) or proportions, chosen by eye.
"""

import warp as wp

from pipeline_steps.rendering.heads import CLOTH, EYE, HAIR, MOUTH, SKIN
from pipeline_steps.rendering.kernels import Camera, meet, pixel_ray

wp.set_module_options({"enable_backward": False})  # halves compilation time; nothing is differentiated

_SKIN, _EYE, _MOUTH, _HAIR, _CLOTH = (wp.constant(code) for code in (SKIN, EYE, MOUTH, HAIR, CLOTH))


@wp.struct
class Look:
    """Colours (linear RGB, 0 to 1) and textures of one subject."""

    skin: wp.vec3
    lips: wp.vec3
    blush: wp.vec3
    iris: wp.vec3
    sclera: wp.vec3
    hair: wp.vec3
    brows: wp.vec3
    cloth: wp.vec3
    cloth_two: wp.vec3
    cap_colour: wp.vec3
    brow_strength: float
    brow_width: float
    brow_height: float
    beard: float
    beard_low: float
    stubble: float
    freckles: float
    mottle: float
    shine: float
    curls: float
    streaks: float
    fabric: float
    cap: float
    eye_shadow: float
    eye_centre: wp.vec3
    iris_size: float
    seed: float


@wp.func
def smooth(low: float, high: float, x: float) -> float:
    t = wp.clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def mix(a: wp.vec3, b: wp.vec3, t: float) -> wp.vec3:
    return a + (b - a) * t


@wp.func
def bell(p: wp.vec3, centre: wp.vec3, radius: float) -> float:
    d = p - centre
    return wp.exp(-wp.dot(d, d) / (radius * radius))


@wp.func
def skin_albedo(look: Look, p: wp.vec3, lip: float, seed: wp.uint32) -> wp.vec3:
    side = wp.vec3(wp.abs(p[0]), p[1], p[2])
    wide = wp.noise(seed, p * 35.0)
    fine = wp.noise(seed, p * 300.0)
    colour = look.skin * (1.0 + look.mottle * (0.7 * wide + 0.6 * fine))
    red = bell(side, wp.vec3(0.042, -0.035, 0.058), 0.026)
    red += 0.8 * bell(side, wp.vec3(0.0, -0.033, 0.086), 0.016)
    red += 0.6 * smooth(0.072, 0.082, side[0])
    colour = mix(colour, look.blush, wp.clamp(red * (0.55 + 0.4 * wide), 0.0, 0.8))
    socket = bell(side, wp.vec3(0.031, -0.008, 0.060), 0.016)
    colour = colour * (1.0 - look.eye_shadow * socket)
    if look.freckles > 0.0:
        spots = smooth(0.35, 0.6, wp.noise(seed, p * 420.0)) * smooth(0.0, 0.03, p[2])
        colour = colour * (1.0 - look.freckles * spots)

    # beard: below a line from the sideburns around the mouth, but not on the lips or neck
    cheek = -0.052 - 0.35 * wp.max(0.0, 0.075 - side[0]) * smooth(0.0, 0.05, p[2])
    cheek += 0.03 * bell(side, wp.vec3(0.0, -0.052, 0.08), 0.022)
    beard = smooth(0.006, -0.006, p[1] - cheek - 0.008 * wide) * smooth(-0.012, 0.012, p[2])
    beard = beard * smooth(-0.125, -0.105, p[1]) * smooth(0.0, 0.003, lip)
    colour = mix(colour, colour * 0.45 + wp.vec3(0.004, 0.006, 0.010), beard * look.stubble)
    if beard * look.beard > 0.0:
        hairs = 0.65 + 0.5 * wp.noise(seed, wp.vec3(p[0] * 900.0, p[1] * 250.0, p[2] * 900.0))
        colour = mix(colour, look.hair * hairs, beard * look.beard * (0.75 + 0.25 * fine))

    # brows: an arc that gets thinner towards the temples
    u = (side[0] - 0.012) / 0.044
    arc = 0.0185 + look.brow_height + 0.0075 * u - 0.0125 * u * u
    half = look.brow_width * (0.0052 - 0.0032 * u) * smooth(-0.05, 0.08, u) * smooth(1.12, 0.9, u)
    d = wp.abs(p[1] - arc) - half
    brow = smooth(0.0014, -0.0014, d) * smooth(0.0, 0.03, p[2]) * smooth(-0.08, 0.02, u) * smooth(1.15, 1.0, u)
    if brow > 0.0:
        stroke = 0.75 + 0.5 * wp.noise(seed, wp.vec3(p[0] * 500.0 + p[1] * 400.0, p[1] * 160.0, 0.0))
        colour = mix(colour, look.brows * stroke, wp.clamp(brow * look.brow_strength * stroke, 0.0, 1.0))

    return mix(colour, look.lips * (1.0 + 0.25 * fine), 0.85 * smooth(0.0012, -0.0012, lip))


@wp.func
def eye_albedo(look: Look, p: wp.vec3) -> wp.vec3:
    d = wp.vec3(wp.abs(p[0]), p[1], p[2]) - look.eye_centre
    forward = wp.normalize(d)
    angle = wp.acos(wp.clamp(forward[2], -1.0, 1.0)) / look.iris_size
    rim = 0.55 + 0.45 * smooth(1.0, 0.75, angle)
    iris = look.iris * rim * (0.85 + 0.3 * smooth(0.75, 0.45, angle))
    iris = mix(iris, wp.vec3(0.004, 0.004, 0.004), smooth(0.46, 0.38, angle))
    red = smooth(1.6, 2.6, angle)
    white = mix(look.sclera, wp.cw_mul(look.sclera, wp.vec3(0.9, 0.55, 0.5)), red)
    return mix(iris, white, smooth(0.95, 1.08, angle))


@wp.func
def hair_albedo(look: Look, p: wp.vec3, seed: wp.uint32) -> wp.vec3:
    if look.cap > 0.5:
        weave = wp.noise(seed, p * 350.0)
        seam = smooth(0.0016, 0.0, wp.abs(p[0])) * 0.25
        return look.cap_colour * (1.0 + 0.18 * weave - seam)
    around = wp.atan2(p[0], p[2] + 0.05)
    strand = wp.noise(seed, wp.vec3(around * 45.0, p[1] * 18.0, look.seed))
    lock = wp.noise(seed, wp.vec3(around * 12.0, p[1] * 9.0, look.seed))
    tone = 1.0 + look.streaks * (0.55 * strand + 0.45 * lock)
    if look.curls > 0.0:
        curl = wp.noise(seed, p * 170.0) + 0.6 * wp.noise(seed, p * 80.0)
        tone += (1.0 + 0.6 * curl - tone) * look.curls
    return look.hair * wp.max(0.25, tone)


@wp.func
def cloth_albedo(look: Look, p: wp.vec3, seed: wp.uint32) -> wp.vec3:
    weave = 1.0 + 0.12 * wp.noise(seed, p * 400.0) + 0.15 * wp.noise(seed, p * 30.0)
    wave = wp.float(0.0)
    if look.fabric > 2.0:
        wave = wp.sin(p[0] * 260.0) * wp.sin(p[1] * 260.0)
    elif look.fabric > 1.0:
        wave = wp.sin(p[1] * 240.0)
    return mix(look.cloth, look.cloth_two, smooth(-0.1, 0.1, wave - 0.2) * smooth(0.5, 1.0, look.fabric)) * weave


@wp.func
def lit(mesh: wp.uint64, camera: Camera, p: wp.vec3, flat: wp.vec3, toward: wp.vec3) -> float:
    if camera.shadow <= 0.0 or wp.dot(flat, toward) <= 0.0:
        return 1.0
    if wp.mesh_query_ray_anyhit(mesh, p + flat * 0.0012, toward, 0.6):
        return 1.0 - camera.shadow
    return 1.0


@wp.func
def lamp(
    base: wp.vec3,
    wrap: wp.vec3,
    gloss: float,
    power: float,
    n: wp.vec3,
    view: wp.vec3,
    toward: wp.vec3,
    colour: wp.vec3,
    visible: float,
) -> wp.vec3:
    cosine = wp.dot(n, toward)
    diffuse = wp.vec3(
        wp.max(0.0, (cosine + wrap[0]) / (1.0 + wrap[0])),
        wp.max(0.0, (cosine + wrap[1]) / (1.0 + wrap[1])),
        wp.max(0.0, (cosine + wrap[2]) / (1.0 + wrap[2])),
    )
    half = wp.normalize(toward + view)
    shine = gloss * wp.pow(wp.max(0.0, wp.dot(n, half)), power) * wp.max(0.0, cosine)
    return wp.cw_mul(wp.cw_mul(base, diffuse) + wp.vec3(shine, shine, shine), colour) * visible


@wp.kernel
def shade_kernel(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=int),
    material: wp.array(dtype=int),
    normals: wp.array(dtype=wp.vec3),
    template_points: wp.array(dtype=wp.vec3),
    traits: wp.array(dtype=wp.vec2),
    seen: wp.array(dtype=int),
    look: Look,
    camera: Camera,
    image: wp.array(dtype=wp.vec4),
):
    i = wp.tid()
    face = seen[i]
    if face < 0:
        return
    row = i / camera.width
    seed = wp.uint32(wp.int32(look.seed))
    ray = pixel_ray(camera, i - row * camera.width, row)
    a = faces[face * 3]
    b = faces[face * 3 + 1]
    c = faces[face * 3 + 2]
    hit = meet(camera.origin, ray, points[a], points[b], points[c])
    point = camera.origin + ray * hit[2]
    ray = wp.normalize(ray)
    w = 1.0 - hit[0] - hit[1]
    n = wp.normalize(normals[a] * w + normals[b] * hit[0] + normals[c] * hit[1])
    flat = wp.normalize(wp.cross(points[b] - points[a], points[c] - points[a]))
    if wp.dot(flat, ray) > 0.0:
        flat = -flat
    if wp.dot(n, flat) < 0.0:
        n = -n
    p = template_points[a] * w + template_points[b] * hit[0] + template_points[c] * hit[1]
    trait = traits[a] * w + traits[b] * hit[0] + traits[c] * hit[1]
    code = material[face]
    open_sky = wp.clamp(trait[1], 0.0, 1.0)
    base = look.skin
    wrap = wp.vec3(0.0, 0.0, 0.0)
    gloss = wp.float(0.05)
    power = wp.float(12.0)
    if code == _SKIN:
        base = skin_albedo(look, p, trait[0], seed)
        wrap = wp.vec3(0.30, 0.12, 0.08)
        gloss = look.shine * (1.0 + 2.0 * smooth(0.001, -0.001, trait[0]))
        power = 18.0
        n = wp.normalize(n + 0.05 * wp.vec3(wp.noise(seed, p * 250.0), wp.noise(seed, p * 251.0 + n), 0.0))
    elif code == _EYE:
        base = eye_albedo(look, p)
        gloss = 1.2
        power = 250.0
    elif code == _MOUTH:
        base = wp.vec3(0.16, 0.03, 0.025)
    elif code == _HAIR:
        base = hair_albedo(look, p, seed)
        gloss = 0.10 * (1.0 - look.cap)
        power = 10.0
        wrap = wp.vec3(0.2, 0.2, 0.2)
        rough = wp.vec3(wp.noise(seed, p * 120.0), wp.noise(seed, p * 121.0 + n), wp.noise(seed, p * 122.0))
        n = wp.normalize(n + (0.15 + 0.35 * look.curls) * (1.0 - 0.7 * look.cap) * rough)
    elif code == _CLOTH:
        base = cloth_albedo(look, p, seed)
        gloss = 0.0
    view = -ray
    up = 0.5 + 0.5 * wp.dot(n, camera.sky_up)
    colour = wp.cw_mul(base, mix(camera.ground, camera.sky, up)) * open_sky
    shade = 0.35 + 0.65 * open_sky
    visible = lit(mesh, camera, point, flat, camera.direction_a) * shade
    colour += lamp(base, wrap, gloss, power, n, view, camera.direction_a, camera.colour_a, visible)
    if camera.lights > 1:
        colour += lamp(base, wrap, gloss, power, n, view, camera.direction_b, camera.colour_b, shade)
    if camera.lights > 2:
        colour += lamp(base, wrap, gloss, power, n, view, camera.direction_c, camera.colour_c, shade)
    image[i] = wp.vec4(colour[0], colour[1], colour[2], 1.0)
