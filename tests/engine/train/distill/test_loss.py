import torch

from engine.train.distill.ema import Average
from engine.train.distill.loss import flow_matching, matching, regression
from tests.engine.train.distill.parts import generator


def test_the_gradient_of_matching_is_the_difference_of_the_clean_estimates_over_the_distance_to_the_teachers():
    video, real, fake = (torch.randn(2, 3, 4, 4, 4) for _ in range(3))
    video.requires_grad_()

    matching(video, real, fake).backward()

    size = (video - real).abs().mean((1, 2, 3, 4), keepdim=True)
    torch.testing.assert_close(video.grad, (fake - real) / (size + 1e-6) / video.numel())


def test_matching_leads_a_student_to_the_distribution_of_its_teacher():
    """Both Gaussian, so that clean estimates are known: m = mean + var (1 - s) (x_t - (1 - s) mean) / var_t."""
    torch.manual_seed(0)
    mean, wanted, spread = torch.full((1,), -2.0, requires_grad=True), 3.0, 0.5
    optimiser = torch.optim.Adam([mean], lr=0.1)

    def clean(noisy, sigma, centre):
        gain = spread**2 * (1 - sigma) / ((1 - sigma) ** 2 * spread**2 + sigma**2)
        return centre + gain * (noisy - (1 - sigma) * centre)

    for _ in range(200):
        video = mean + spread * torch.randn(8, 2, 1, 4, 4)
        sigma = 0.02 + 0.96 * torch.rand(8, 1, 1, 1, 1)
        noisy = torch.lerp(video.detach(), torch.randn_like(video), sigma)
        optimiser.zero_grad()
        matching(video, clean(noisy, sigma, wanted), clean(noisy, sigma, mean.detach())).backward()
        optimiser.step()

    assert abs(mean.item() - wanted) < 0.1


def test_matching_survives_a_teacher_that_agrees_to_the_last_bit():
    video = torch.zeros(1, 2, 1, 2, 2, requires_grad=True)

    matching(video, video.detach(), video.detach()).backward()

    assert torch.equal(video.grad, torch.zeros_like(video))


def test_matching_does_not_hide_that_a_teacher_went_astray():
    video = torch.zeros(1, 2, 1, 2, 2, requires_grad=True)

    assert matching(video, torch.full_like(video, float("nan")), torch.zeros_like(video)).isnan()


def test_regression_does_not_depend_on_the_scale_of_latents():
    video, target = torch.randn(2, 3, 4, 4, 4), torch.randn(2, 3, 4, 4, 4)

    torch.testing.assert_close(regression(8 * video, 8 * target), regression(video, target))
    assert regression(target, target) == 0


def test_the_critic_learns_the_flow_from_video_to_noise():
    video, noise = torch.randn(2, 1, 2, 4, 4, 4)

    assert flow_matching(noise - video, noise, video) == 0


def test_the_average_follows_its_formula():
    network = generator()
    average, weight = Average(network, decay=0.6), network.head.head.bias
    want = weight.detach().clone()

    for update in range(1, 30):
        with torch.no_grad():
            weight += torch.randn_like(weight)
        average.update(update)
        decay = min(0.6, update / (update + 10))
        want = decay * want + (1 - decay) * weight.detach()

    torch.testing.assert_close(average.means["head.head.bias"], want)


def test_the_average_can_stand_in_for_the_weights_and_step_back():
    network = generator()
    average, before = Average(network, 0.9), network.head.head.bias.detach().clone()
    average.means["head.head.bias"] += 1

    average.swap()
    assert torch.equal(network.head.head.bias, before + 1)

    average.swap()
    assert torch.equal(network.head.head.bias, before)
