//! Comparison of two pictures: files, or images of mcodec files.

use crate::cli::{Common, Diff};
use crate::console::Console;
use crate::input::{self, is_mcodec, shown};
use crate::outcome::usage;
use crate::selection;
use crate::sink::{Sink, is_std};
use anyhow::Context;
use image::{GrayImage, ImageFormat};
use mcodec_decode::images::ImageReader;
use mcodec_encode::images::import::{looks_like_picture, read_picture};
use mcodec_format::{ChannelGroup, Depth, GroupKind, registry};
use serde::Serialize;
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;

/// Samples of a picture, 0 to 1, as whole numbers of its depth would have them.
struct Samples {
    width: usize,
    height: usize,
    names: Vec<String>,
    /// Of each channel, row by row.
    channels: Vec<Vec<f32>>,
    /// The channel that is alpha.
    alpha: Option<usize>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct PictureReport {
    /// There is no difference.
    pub(crate) equal: bool,
    /// Over all channels, in dB; with alpha, the lesser of colours over black and over white. Null if they are equal.
    psnr: Option<f64>,
    /// Of the luma.
    ssim: f64,
    /// Of the luma, over five scales; null if the picture is too small for them.
    ms_ssim: Option<f64>,
    /// Of each channel by itself.
    channels: Vec<ChannelReport>,
    /// The greatest difference of two samples, in units of 1/255.
    greatest: f64,
}

/// A channel.
#[derive(Debug, Serialize)]
struct ChannelReport {
    name: String,
    /// In dB; null if there is no difference.
    psnr: Option<f64>,
}

/// Compares the inputs as pictures, if both are.
pub(crate) fn compare(
    args: &Diff,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Option<PictureReport>> {
    let (Some(a), Some(b)) = (open(&args.a, args, common, console)?, open(&args.b, args, common, console)?)
    else {
        return Ok(None);
    };
    if (a.width, a.height) != (b.width, b.height) {
        let why =
            format!("{} x {} and {} x {} pixels are not compared", a.width, a.height, b.width, b.height);
        return Err(usage(why));
    }
    let (a, b) = alike(a, b)?;
    if let Some(path) = &args.heatmap {
        heatmap(&a, &b, path, common.force)?;
    }
    Ok(Some(report(&a, &b)))
}

/// The picture of a path, if it is one.
fn open(path: &Path, args: &Diff, common: &Common, console: &Console) -> anyhow::Result<Option<Samples>> {
    if is_std(path) || path.is_dir() {
        return Ok(None);
    }
    if is_mcodec(path) {
        let reader = input::open(path, common, console)?;
        let named = args.asset.as_deref();
        if named.is_none() && reader.index().root().assets != 1 {
            return Ok(None);
        }
        let asset = selection::asset(&reader, named)?;
        if asset.kind != registry::asset::IMAGE {
            return Ok(None);
        }
        let image = ImageReader::new(&reader, &asset)?;
        let ([width, height], samples) = {
            let (samples, size) = image.draw(image.whole(), 1.0, None)?;
            (size, samples)
        };
        let count = image.descriptor().channel_count();
        let groups = &image.descriptor().groups;
        let plane = |c: usize| samples.iter().skip(c).step_by(count).copied().collect();
        return Samples::new(width, height, groups, (0..count).map(plane).collect()).map(Some);
    }
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(16).read_to_end(&mut head)).with_context(|| shown(path))?;
    if !looks_like_picture(&head) {
        return Ok(None);
    }
    let picture = read_picture(path)?.picture;
    Samples::new(picture.width as usize, picture.height as usize, &picture.groups, picture.channels).map(Some)
}

impl Samples {
    fn new(
        width: usize,
        height: usize,
        groups: &[ChannelGroup],
        mut channels: Vec<Vec<f32>>,
    ) -> anyhow::Result<Self> {
        let (mut names, mut alpha, mut first) = (Vec::new(), None, 0);
        for group in groups {
            let levels = match group.depth {
                Depth::Unorm8 => 255.0,
                Depth::Unorm16 => 65535.0,
                Depth::Float => return Err(usage("pictures of floats are compared as .npy")),
            };
            let own: Vec<&str> = match group.kind {
                GroupKind::Grey => vec!["grey"],
                GroupKind::Colour => vec!["red", "green", "blue"],
                GroupKind::GreyAlpha => vec!["grey", "alpha"],
                GroupKind::ColourAlpha => vec!["red", "green", "blue", "alpha"],
                GroupKind::Data => group.channels.iter().map(String::as_str).collect(),
            };
            if own.last() == Some(&"alpha") && groups.len() == 1 {
                alpha = Some(own.len() - 1);
            }
            for (channel, name) in channels[first..first + own.len()].iter_mut().zip(&own) {
                channel.iter_mut().for_each(|v| *v = (*v * levels).round() / levels);
                names.push(if group.name.is_empty() {
                    (*name).to_owned()
                } else {
                    format!("{} {name}", group.name)
                });
            }
            first += own.len();
        }
        Ok(Self { width, height, names, channels, alpha })
    }

    /// Colours over a background of this value, without alpha.
    fn over(&self, background: f32) -> Vec<Vec<f32>> {
        let Some(alpha) = self.alpha.map(|at| &self.channels[at]) else { return self.channels.clone() };
        let colours = &self.channels[..self.channels.len() - 1];
        let cover =
            |plane: &Vec<f32>| plane.iter().zip(alpha).map(|(c, a)| c * a + background * (1.0 - a)).collect();
        colours.iter().map(cover).collect()
    }

    /// Rec. 601 luma of colours over middle grey, 0 to 255.
    fn luma(&self) -> Vec<f64> {
        let plane: Vec<f32> = match &self.over(0.5)[..] {
            [r, g, b, ..] => r
                .iter()
                .zip(g)
                .zip(b)
                .map(|((r, g), b)| 255.0 * (0.299 * r + 0.587 * g + 0.114 * b))
                .collect(),
            [grey, ..] => grey.iter().map(|v| 255.0 * v).collect(),
            [] => Vec::new(),
        };
        plane.into_iter().map(f64::from).collect()
    }

    /// With opaque alpha after its channels.
    fn with_alpha(mut self) -> Self {
        self.alpha = Some(self.channels.len());
        self.channels.push(vec![1.0; self.width * self.height]);
        self.names.push("alpha".into());
        self
    }
}

/// Both with the same channels: opaque alpha may be left out.
fn alike(a: Samples, b: Samples) -> anyhow::Result<(Samples, Samples)> {
    let (a, b) = match (a.alpha, b.alpha) {
        (Some(_), None) if b.channels.len() + 1 == a.channels.len() => (a, b.with_alpha()),
        (None, Some(_)) if a.channels.len() + 1 == b.channels.len() => (a.with_alpha(), b),
        _ => (a, b),
    };
    if a.channels.len() != b.channels.len() {
        return Err(usage(format!(
            "channels {} and {} are not compared",
            a.names.join(", "),
            b.names.join(", ")
        )));
    }
    Ok((a, b))
}

fn squares(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// `None` without any difference.
fn psnr(squares: f64, samples: usize) -> Option<f64> {
    (squares > 0.0).then(|| 10.0 * (samples as f64 / squares).log10())
}

fn report(a: &Samples, b: &Samples) -> PictureReport {
    let pixels = a.width * a.height;
    let over = |background: f32| {
        let (a, b) = (a.over(background), b.over(background));
        psnr(a.iter().zip(&b).map(|(a, b)| squares(a, b)).sum(), pixels * a.len())
    };
    let whole = match a.alpha {
        None => over(0.0),
        Some(_) => [over(0.0), over(1.0)].into_iter().flatten().reduce(f64::min),
    };
    let all = || a.channels.iter().flatten().zip(b.channels.iter().flatten());
    let greatest = all().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let (luma_a, luma_b) = (a.luma(), b.luma());
    let channel = |((name, a), b): ((&String, &Vec<f32>), &Vec<f32>)| ChannelReport {
        name: name.clone(),
        psnr: psnr(squares(a, b), pixels),
    };
    PictureReport {
        equal: greatest == 0.0,
        psnr: whole,
        ssim: super::ssim::ssim(&luma_a, &luma_b, a.width).0,
        ms_ssim: super::ssim::ms_ssim(luma_a, luma_b, a.width),
        channels: a.names.iter().zip(&a.channels).zip(&b.channels).map(channel).collect(),
        greatest: f64::from(greatest) * 255.0,
    }
}

/// Writes where the errors are: the greatest of a pixel's channels, 8 times as bright.
fn heatmap(a: &Samples, b: &Samples, path: &Path, force: bool) -> anyhow::Result<()> {
    let error = |pixel: usize| {
        let channels = a.channels.iter().zip(&b.channels);
        channels.map(|(a, b)| (a[pixel] - b[pixel]).abs()).fold(0.0, f32::max)
    };
    let bytes =
        (0..a.width * a.height).map(|pixel| (error(pixel) * 8.0 * 255.0).round().min(255.0) as u8).collect();
    let picture =
        GrayImage::from_raw(a.width as u32, a.height as u32, bytes).context("a picture of errors")?;
    let mut out = Vec::new();
    picture.write_to(&mut Cursor::new(&mut out), ImageFormat::Png)?;
    let mut sink = Sink::create(path, force)?;
    sink.write_all(&out).with_context(|| format!("writing {}", path.display()))?;
    sink.commit()
}

/// The report for people.
pub(crate) fn text(report: &PictureReport) -> String {
    if report.equal {
        return "the pictures are equal\n".into();
    }
    let db = |psnr: Option<f64>| psnr.map_or_else(|| "equal".to_owned(), |psnr| format!("{psnr:.2} dB"));
    let mut out = format!("PSNR {}, SSIM {:.4}", db(report.psnr), report.ssim);
    if let Some(ms_ssim) = report.ms_ssim {
        out += &format!(", MS-SSIM {ms_ssim:.4}");
    }
    out += &format!(", greatest difference {:.1}/255\n", report.greatest);
    for channel in &report.channels {
        out += &format!("  {}: {}\n", channel.name, db(channel.psnr));
    }
    out
}
